# SPDX-License-Identifier: Apache-2.0
"""What is measured at a subject that forwards: rates, processor time, latency, TCP.

A Sample is one figure of one run; run.py makes medians of them.
"""
import dataclasses
import json

import rules
from scene import FIRST, Failure, run, wait_until
from subjects import CONNECTIONS

WITHOUT_FCS = 4
FLOWS = 1024        # that are established
FLOWS_APART = 20_000_000  # between runs: none meets a connection of the one before
BELOW_CAPACITY = 0.95     # processor time is measured at this share of what it forwards
IDLE_PPS = 1000
WARM_UP = 0.2             # seconds before a run
TOUCH_PPS = 100_000       # of new flows that are not measured
TOUCH_SECONDS = 0.5
READY = 0.95              # share of the allowed packets that have to pass: some are under way


@dataclasses.dataclass(frozen=True)
class Sample:
    subject: str
    what: str   # established_mpps, new_flow_ns, ...
    rules: int
    frame: int  # bytes, FCS included; 0: no matter
    value: float


class Bench:
    def __init__(self, traffic, seconds):
        self.traffic = str(traffic)
        self.seconds = seconds
        self.generator_ns = 0.0

    def run(self, scene, frame=64, seconds=None, warm_up=WARM_UP, drop_at=None, **options):
        """One run of `traffic`; with rates added to what it prints."""
        # Its main thread is away from the generator, which leaves it no time.
        command = [*FIRST, "taskset", "-c", str(scene.core), self.traffic,
                   "--from", scene.client.place, "--to", scene.server.place,
                   "--core", str(scene.generator_core), "--watch", str(scene.core),
                   "--frame", str(frame - WITHOUT_FCS), "--warm-up", str(warm_up),
                   "--seconds", str(seconds or self.seconds)]
        if drop_at:
            command += ["--drop-at", drop_at]
        for name, value in options.items():
            option = "--" + name.replace("_", "-")
            command += [option] if value is True else [option, str(value)]
        outcome = json.loads(run(*command).stdout)
        outcome["pps"] = outcome["received"] / outcome["seconds"]
        outcome["sent_pps"] = outcome["sent"] / outcome["seconds"]
        available = 1e9 * outcome["seconds"] * (1 + len(outcome["free_ns"]))
        outcome["busy_ns"] = available - outcome["generator_free_ns"] - sum(outcome["free_ns"])
        return outcome

    def calibrate(self, scene):
        """What the generator itself costs for each packet: all is dropped where it enters the
        node."""
        def cost():
            outcome = self.run(scene, rate=500_000,
                               drop_at=f"{scene.node}:{scene.client.interface}")
            if not outcome["received"]:
                raise Failure("the generator sends nothing")
            return outcome["busy_ns"] / outcome["sent"]
        self.generator_ns = min(cost() for _ in range(3))

    def wait_ready(self, subject, count):
        """It forwards what it should, and nothing of what its policy of `count` rules denies."""
        short = {"seconds": 0.1, "warm_up": 0.05, "flows": 16, "rate": 2000}
        seen = "nothing was sent"

        def forwards():
            nonlocal seen
            allowed = self.run(subject.scene, established=True, **short)
            seen = f"{allowed['received']} of {allowed['sent']} allowed packets passed"
            return allowed["sent"] and allowed["received"] >= READY * allowed["sent"]
        wait_until(forwards, lambda: f"{subject.name}: {seen}: {subject.problem()}", 20)
        for port in rules.denied_ports(count) if subject.policy else ():
            # A virtual machine that stands still for a tenth of a second has sent nothing.
            tries = (self.run(subject.scene, port=port, **short) for _ in range(5))
            denied = next((outcome for outcome in tries if outcome["sent"]), None)
            if denied is None:
                raise Failure(f"nothing was sent to port {port}")
            if denied["received"]:
                raise Failure(f"{subject.name} let {denied['received']} of {denied['sent']} "
                              f"denied packets to port {port} pass")

    def _rate_and_cost(self, scene, **options):
        """Packets a second at most, and how many were offered then; nanoseconds of processor
        time for each packet, of all cores and without the generator's, and the share lost, at a
        little less."""
        first = options.pop("first", 0)
        flood = self.run(scene, first=first, **options)
        most = flood["pps"]
        if not most:
            raise Failure("nothing arrived")
        paced = self.run(scene, first=first + FLOWS_APART // 2, rate=most * BELOW_CAPACITY,
                         **options)
        cost = ((paced["busy_ns"] - self.generator_ns * paced["sent"]) /
                max(paced["received"], 1))
        loss = 1 - paced["received"] / max(paced["sent"], 1)
        if not options.get("flows"):
            self._check_room(flood, paced)
        return {"mpps": most / 1e6, "ns": cost, "loss": loss,
                "offered_mpps": flood["sent_pps"] / 1e6}

    def _check_room(self, *runs):
        """What arrives was entered; so was, at worst, as much again that was lost behind that."""
        entered = TOUCH_PPS * (TOUCH_SECONDS + WARM_UP) + 2 * sum(
            run["pps"] * (run["seconds"] + WARM_UP) for run in runs)
        if entered > CONNECTIONS:
            raise Failure(f"{entered:.0f} flows may have been entered, and connection tables have "
                          f"room for {CONNECTIONS}: take fewer --seconds")

    def _seconds_with_room(self):
        """How long a run of new flows may be: twice what the generator can send fits."""
        if not self.generator_ns > 0:
            return self.seconds
        room = CONNECTIONS - TOUCH_PPS * (TOUCH_SECONDS + WARM_UP)
        return max(0.1, min(self.seconds, room / 2 * self.generator_ns / 1e9 - WARM_UP))

    def established(self, subject, count, frame):
        figures = self._rate_and_cost(subject.scene, frame=frame, flows=FLOWS, established=True)
        return [Sample(subject.name, "established_" + what, count, frame, value)
                for what, value in figures.items()]

    def new_flows(self, subject, count):
        # Tables that nothing was entered into have no memory yet; the kernel's have.
        self.run(subject.scene, first=2 * FLOWS_APART, rate=TOUCH_PPS, seconds=TOUCH_SECONDS)
        figures = self._rate_and_cost(subject.scene, first=FLOWS_APART,
                                      seconds=self._seconds_with_room())
        return [Sample(subject.name, "new_flow_" + what, count, 64, value)
                for what, value in figures.items()]

    def latency(self, subject, count, most_pps):
        """From one pod's interface to the other's: idle, and at half of the most it forwards."""
        samples = []
        for load, rate, seconds in (("idle", IDLE_PPS, 4 * self.seconds),
                                    ("half", most_pps / 2, 2 * self.seconds)):
            outcome = self.run(subject.scene, rate=rate, batch=1, latency=True, flows=FLOWS,
                               established=True, seconds=seconds)
            for percentile in ("p50", "p99", "p99.9"):
                samples.append(Sample(subject.name, f"latency_{load}_{percentile}_us", count, 64,
                                      outcome["latency_ns"][percentile] / 1e3))
            samples.append(Sample(subject.name, f"latency_{load}_mpps", count, 64,
                                  outcome["pps"] / 1e6))
        return samples

    def tcp(self, subject, count):
        """iperf3, both ends on the generator's core."""
        scene = subject.scene
        pin = ("taskset", "-c", str(scene.generator_core))
        server = scene.start(*pin, "iperf3", "-s", "-1", "-B", scene.server.address,
                             space=scene.server.space, log="iperf3")
        listening = lambda: f":{rules.IPERF_PORT}" in scene.run(
            "ss", "-ltn", space=scene.server.space).stdout
        wait_until(listening, lambda: "iperf3: " + scene.log("iperf3"))
        seconds = max(1, round(4 * self.seconds))
        try:
            done = scene.run(*pin, "iperf3", "-c", scene.server.address, "-J", "-t", str(seconds),
                             "-O", "1", "--connect-timeout", "3000",
                             space=scene.client.space, check=False, timeout=seconds + 20)
            report = json.loads(done.stdout)
            if "error" in report:
                raise Failure(f"iperf3: {report['error']}")
            rate = report["end"]["sum_received"]["bits_per_second"] / 1e9
        except (json.JSONDecodeError, KeyError) as problem:
            raise Failure(f"iperf3 through {subject.name}: {problem!r}") from problem
        finally:
            scene.stop(server)
        return [Sample(subject.name, "tcp_gbps", count, 0, rate)]
