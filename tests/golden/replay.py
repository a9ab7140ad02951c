# SPDX-License-Identifier: Apache-2.0
"""One replay: the frames that go in, what must become of each, and the check.

A case says `r.send(port, frame)` and, of what that returns, the fate: `.forwarded(port, frame)`,
`.punted(frame)`, `.consumed()`, `.held()`, `.dropped(reason)`; `.emits(port, frame)` adds a frame
of sluice's own making.  Nothing that is not said may come out.
"""
import json
import os
import pathlib
import shutil
import struct
import subprocess

SLUICED = os.environ.get("SLUICED", "build/control/sluiced")
HERE = pathlib.Path(__file__).parent
START_NS = 1_700_000_000 * 10**9
FATES = ("forwarded", "punted", "consumed", "held", "dropped")


def write_pcap(path, frames):
    """frames: [(time in ns, bytes)]"""
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1))
        for time, data in frames:
            f.write(struct.pack("<IIII", time // 10**9, time % 10**9, len(data), len(data)) + data)


def read_pcap(path):
    data, at, frames = pathlib.Path(path).read_bytes(), 24, []
    while at < len(data):
        seconds, nanos, length, _ = struct.unpack_from("<IIII", data, at)
        frames.append((seconds * 10**9 + nanos, data[at + 16 : at + 16 + length]))
        at += 16 + length
    return frames


def show(frame):
    from scapy.layers.l2 import Ether

    return f"{Ether(frame).summary()}\n      {frame.hex()}"


class Sent:
    """One input frame and what must become of it."""

    def __init__(self, replay, port, index, time, data):
        self.replay, self.port, self.index, self.time, self.data = replay, port, index, time, data
        self.fate, self.reason = None, None

    def _ends(self, fate, reason=None):
        assert self.fate is None, "a frame has one fate"
        self.fate, self.reason = fate, reason
        return self

    def forwarded(self, port, *frames):
        """Leaves by `port`.  Of several frames (fragments) the first is it, the rest our own."""
        self.replay.expect(port, frames[0], own=False)
        return self._ends("forwarded").emits(port, *frames[1:])

    def punted(self, frame):
        """Given to the node's own kernel."""
        self.replay.expect("host", frame, own=False)
        return self._ends("punted")

    def consumed(self):
        return self._ends("consumed")

    def held(self):
        """Still waits for a neighbour at the end."""
        return self._ends("held")

    def releases(self, waiting, port, frame):
        """Ends the wait of an earlier frame, which leaves by `port` now."""
        self.replay.expect(port, frame, own=False)
        waiting._ends("forwarded")
        return self

    def dropped(self, reason):
        return self._ends("dropped", reason)

    def emits(self, port, *frames):
        """sluice makes these itself: ARP, ICMP errors, later fragments."""
        for frame in frames:
            self.replay.expect(port, frame, own=True)
        return self


class Replay:
    def __init__(self, folder):
        self.folder = folder
        self.sent, self.expected, self.rule_rows = [], [], None
        self.time = START_NS

    # ---- what a case says ------------------------------------------------------------------

    def wait(self, seconds):
        """The next frame comes that much later."""
        self.time += int(seconds * 10**9)

    def send(self, port, frame):
        """`frame`: scapy packet or bytes.  Frames are a millisecond apart."""
        self.time += 10**6
        index = sum(s.port == port for s in self.sent)
        self.sent.append(Sent(self, port, index, self.time, bytes(frame)))
        return self.sent[-1]

    def rules(self, *rows):
        """All policy rules that counted, as (policy, direction, rule, action, connections,
        packets) and, where it matters, bytes; rule -1 is the end of the tier.  Profiles are
        left out."""
        self.rule_rows = sorted(rows)

    def expect(self, port, frame, own):
        self.expected.append((port, bytes(frame), own, self.time))

    # ---- run and check ---------------------------------------------------------------------

    def run(self, directory):
        """Lays out settings, policies and captures, and runs sluiced on them."""
        policies = directory / "policy.d"
        policies.mkdir(parents=True)
        settings = self.folder / "sluice.yaml"
        shutil.copy(settings if settings.exists() else HERE / "sluice.yaml", directory)
        for file in [HERE / "cluster.yaml", *self.folder.glob("*.yaml")]:
            if file.name != "sluice.yaml":
                shutil.copy(file, policies)
        captures = directory / "captures"
        captures.mkdir()
        for port in {s.port for s in self.sent}:
            frames = [(s.time, s.data) for s in self.sent if s.port == port]
            write_pcap(captures / f"{port}.in.pcap", frames)
        command = [SLUICED, "--config", directory / "sluice.yaml", "--replay", captures]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return captures

    def check(self, captures):
        """Compares every frame, fate and counter with what the case said."""
        counters = json.loads((captures / "counters.json").read_text())
        problems = self._check_fates(counters["fates"]) + self._check_frames(captures)
        assert not problems, "\n".join(problems)
        self._check_ports(counters["ports"])
        drops = {}
        for s in self.sent:
            if s.fate == "dropped":
                drops[s.reason] = drops.get(s.reason, 0) + 1
        assert counters["drops"] == drops
        for reason, n in counters["inner_drops"].items():
            assert n <= drops[reason] and reason not in ("tun_src", "tun_fragment"), reason
        if self.rule_rows is not None:
            rows = self._rule_rows(counters["rules"])
            assert len(rows) == len(self.rule_rows), rows
            assert [g[:len(w)] for g, w in zip(rows, self.rule_rows)] == self.rule_rows

    def _check_fates(self, rows):
        seen = {(r["port"], r["index"]): (r["fate"], r["reason"]) for r in rows}
        assert len(seen) == len(rows) == len(self.sent), "one fate for every input frame"
        problems = []
        for s in self.sent:
            got, want = seen[s.port, s.index], (s.fate, s.reason)
            if got != want:
                problems.append(f"{s.port} frame {s.index}: {got}, not {want}\n  {show(s.data)}")
        return problems

    def _check_frames(self, captures):
        problems = []
        for file in sorted(captures.glob("*.out.pcap")):
            port = file.name.removesuffix(".out.pcap")
            got = read_pcap(file)
            want = [(time, data) for to, data, _, time in self.expected if to == port]
            for n in range(max(len(got), len(want))):
                g, w = (x[n] if n < len(x) else None for x in (got, want))
                if g != w and g and w and g[1] == w[1]:
                    problems.append(f"{port}: frame {n} leaves {(g[0] - w[0]) / 1e9:+} s late")
                elif g != w:
                    problems += [f"{port}: frame {n} of those that went out differs",
                                 f"  got  {show(g[1]) if g else 'nothing'}",
                                 f"  want {show(w[1]) if w else 'nothing'}"]
        return problems

    def _check_ports(self, ports):
        for name, row in ports.items():
            came = [s for s in self.sent if s.port == name]
            went = [(data, own) for to, data, own, _ in self.expected if to == name]
            assert row["rx_packets"] == sum(row[f] for f in FATES), f"{name}: the sum of fates"
            assert row == {
                "rx_packets": len(came),
                "rx_bytes": sum(len(s.data) for s in came),
                "tx_packets": len(went),
                "tx_bytes": sum(len(data) for data, _ in went),
                "originated": sum(own for _, own in went),
                "missed": 0,
            } | {f: sum(s.fate == f for s in came) for f in FATES}, name

    @staticmethod
    def _rule_rows(rows):
        out = []
        for r in rows:
            if r["tier"] == "__PROFILE__" or not (r["connections"] or r["packets"]):
                continue
            policy = f"{r['namespace']}/{r['policy']}" if r["namespace"] else r["policy"]
            out.append((policy, r["direction"], r["rule"], r["action"], r["connections"],
                        r["packets"], r["bytes"]))
        return sorted(out)
