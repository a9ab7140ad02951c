#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One command: the same pods, policies and generator for sluice, the kernel with Calico's
iptables chains, with nftables, OVS-DPDK with conntrack; and for plain forwarding (kernel, testpmd),
to compare with.  What is measured and how: perf/README.md.
"""
import argparse
import contextlib
import json
import os
import pathlib
import signal
import sys
import time

import machine
import measure
import packages
import report
from scene import Failure, Scene, remove_leftovers, remove_ours
from subjects import ALL

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = 1000  # at which established flows, TCP and latency are measured
RULE_COUNTS = (1, 100, 1000, 10_000)
TIMED = ("iptables", "sluice", "sluice-poll")  # whose latency is measured


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, epilog="As root; about 12 minutes.")
    parser.add_argument("--quick", action="store_true",
                        help="one round, short runs, up to 1 000 rules: two minutes")
    parser.add_argument("--only", metavar="NAMES", help="some of: " + ",".join(ALL))
    parser.add_argument("--rounds", type=int, default=3, help="in turn (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5,
                        help="of one run (default: %(default)s); those of new flows are shorter if "
                        "a table has no room for them")
    parser.add_argument("--cores", type=int, nargs=2, metavar=("A", "B"),
                        help="of the generator and of what is measured (default: the first two "
                        "that are not threads of one core)")
    parser.add_argument("--build", type=pathlib.Path,
                        default=os.environ.get("SLUICE_BUILD", ROOT / "build"),
                        help="directory of sluiced (default: SLUICE_BUILD or build)")
    parser.add_argument("--traffic", type=pathlib.Path,
                        help="the generator (default: perf/e2e/traffic of the build)")
    parser.add_argument("-o", choices=("text", "json"), default="text", dest="output",
                        help="on the standard output; progress goes to the other")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="results as JSON, too")
    parser.add_argument("--plot", type=pathlib.Path, metavar="FILE.png", help="results as a picture")
    parser.add_argument("--no-install", action="store_true", help="do not install packages")
    chosen = parser.parse_args()
    chosen.names = chosen.only.split(",") if chosen.only else list(ALL)
    unknown = set(chosen.names) - set(ALL)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    if os.geteuid() != 0:
        parser.error("makes network namespaces and loads BPF programs: run as root")
    chosen.counts = RULE_COUNTS
    if chosen.quick:
        chosen.rounds, chosen.seconds = 1, min(chosen.seconds, 0.25)
        chosen.counts = tuple(count for count in RULE_COUNTS if count <= RULES)
    chosen.traffic = chosen.traffic or chosen.build / "perf/e2e/traffic"
    return chosen


class Run:
    def __init__(self, chosen):
        self.chosen = chosen
        self.bench = measure.Bench(chosen.traffic, chosen.seconds)
        self.cores = machine.cores(chosen.cores)
        self.settings = {"build": chosen.build.resolve(), "install": not chosen.no_install,
                         "cache": chosen.build.resolve() / "perf/e2e"}
        self.facts = machine.facts()
        self.doubts = machine.doubts(self.cores)
        self.samples = []
        self.versions = {}
        self.problems = {}  # the first of each subject
        self.began = time.monotonic()

    def say(self, text):
        print(f"[{time.monotonic() - self.began:5.0f} s] {text}", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def subject(self, name, count):
        """It forwards by `count` rules."""
        scene = Scene(self.cores)
        try:
            subject = ALL[name](scene, self.settings)
            try:
                subject.start(count)
                self.bench.wait_ready(subject, count)
                self.versions[name] = subject.version()
                yield subject
            finally:
                subject.stop()
        finally:
            scene.close()

    def measured(self, name, count):
        """All there is to measure of a subject with that many rules, or nothing."""
        is_main = count == RULES
        if not ALL[name].policy and not is_main or name == "sluice-poll" and not is_main:
            return
        with self.subject(name, count) as subject:
            if is_main:
                for frame in report.SIZES:
                    yield self.bench.established(subject, count, frame)
                    if frame == report.SIZES[0]:
                        most = self.last("established_mpps") * 1e6
                if name in TIMED:
                    yield self.bench.latency(subject, count, most)
                yield self.bench.tcp(subject, count)
            if subject.policy:
                yield self.bench.new_flows(subject, count)

    def last(self, what):
        return next(s.value for s in reversed(self.samples) if s.what == what)

    def round(self, number):
        scene = Scene(self.cores)
        try:
            self.bench.calibrate(scene)
        finally:
            scene.close()
        self.samples.append(measure.Sample("generator", "cost_ns", 0, 64,
                                           self.bench.generator_ns))
        self.say(f"round {number}: the generator takes {self.bench.generator_ns:.0f} ns a packet")
        for count in self.chosen.counts:
            for name in self.chosen.names:
                if name in self.problems:
                    continue
                try:
                    with contextlib.closing(self.measured(name, count)) as measured:
                        for samples in measured:
                            self.samples += samples
                            self.say(f"{name}, {count} rules: " + ", ".join(
                                f"{s.what}{f' at {s.frame}' if s.frame else ''} {s.value:.4g}"
                                for s in samples))
                except (Failure, OSError, json.JSONDecodeError) as problem:
                    self.problems[name] = str(problem)
                    self.say(f"{name}, {count} rules: left out from here on: {problem}")

    def finish(self):
        results = report.Results(self.samples)
        facts = {**self.facts, "versions": self.versions}
        goals = report.goals(results, RULES)
        doubts = self.doubts + report.doubts(results)
        everything = {"measured_on": facts, "rules": RULES, "seconds": self.chosen.seconds,
                      "rounds": self.chosen.rounds, "problems": self.problems,
                      "goals": [{"text": t, "reached": r} for t, r in goals],
                      "doubts": doubts, "results": results.as_json()}
        if self.chosen.json:
            self.chosen.json.write_text(json.dumps(everything, indent=1) + "\n")
        if self.chosen.output == "json":
            print(json.dumps(everything))
        else:
            print(f"{facts['cpu']}, {facts['cores']} cores, Linux {facts['kernel']}; "
                  + "; ".join(sorted(set(self.versions.values()))) + "\n")
            print(report.tables(results, RULES) + "\n")
            for text, reached in goals:
                print({True: "reached  ", False: "missed   ", None: "unclear  "}[reached] + text)
            for doubt in doubts:
                print("doubt    " + doubt)
            for name, problem in self.problems.items():
                print(f"{name} was not measured in full: {problem}")
        if self.chosen.plot and results.subjects():
            report.plot(results, RULES, self.chosen.plot, facts)
        return 1 if self.problems else 0


def on_signals(action):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, action)


def end(*_):
    """INT, TERM, HUP: what was made is removed, and no second one interrupts that."""
    on_signals(signal.SIG_IGN)
    raise KeyboardInterrupt


def measure_all(chosen):
    if not chosen.no_install:
        packages.install({*machine.COMMON, *(p for n in chosen.names for p in ALL[n].packages)})
    remove_leftovers()
    if not chosen.traffic.exists():
        raise Failure(f"{chosen.traffic} is missing: ninja -C {chosen.build} perf/e2e/traffic")
    run = Run(chosen)
    for doubt in run.doubts:
        run.say(doubt)
    tracks = any(ALL[name].kernel_tracks for name in chosen.names)
    with machine.settings() if tracks else contextlib.nullcontext():
        for number in range(1, chosen.rounds + 1):
            run.round(number)
    return run.finish()


def main():
    chosen = arguments()
    os.umask(0o022)  # sluiced refuses files that others may write
    on_signals(end)
    try:
        return measure_all(chosen)
    finally:
        on_signals(signal.SIG_IGN)
        remove_ours()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except (Failure, OSError) as failure:
        print(f"e2e: {failure}", file=sys.stderr)
        sys.exit(2)
