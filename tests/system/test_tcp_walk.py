# SPDX-License-Identifier: Apache-2.0
"""Random walks of TCP segments, judged by sluice and by the kernel's own connection tracking.

Every connection is a list of segments of both sides: a handshake, data, acknowledgements,
closing, and between them what strays, is repeated, comes late, or is a stranger's guess.  The
same bytes go through `sluiced --replay` and through a router namespace whose kernel drops what
`ct state` calls invalid.  A segment passes both or neither, but for what DIFFERENCES lists;
from such a segment on the two know different things, and the connection is not looked at any
further.  SEED=... repeats a run.
"""
import collections
import json
import os
import pathlib
import random
import socket
import struct
import sys

from cluster import SLUICED
from namespace import Capture, Namespace, make_directory, remove_directory, run, wait_until

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
from replay import START_NS, write_pcap  # noqa: E402

PORTS = ("caliclient", "caliweb")
ADDRESSES = ("10.244.153.201", "10.244.153.202")
MACS = ("02:00:00:00:01:c9", "02:00:00:00:01:ca")
PROXY = "ee:ee:ee:ee:ee:ee"
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MASK = 0xFFFFFFFF

Segment = collections.namedtuple(
    "Segment", "side flags seq ack window length options what", defaults=(b"", ""))


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(segment, port, number):
    """The IPv4 packet; its identification tells which segment of the connection it is."""
    ends = [socket.inet_aton(a) for a in ADDRESSES]
    ports = (port, 80)
    if segment.side:
        ends, ports = ends[::-1], ports[::-1]
    words = 5 + len(segment.options) // 4
    tcp = struct.pack("!HHIIBBHHH", *ports, segment.seq & MASK, segment.ack & MASK, words << 4,
                      segment.flags, segment.window, 0, 0) + segment.options
    tcp += b"x" * segment.length
    total = checksum(ends[0] + ends[1] + struct.pack("!HH", 6, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack("!H", total) + tcp[18:]
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), number, 0x4000, 64, 6, 0, *ends)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + tcp


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


# ---- the walk ------------------------------------------------------------------------------


class Walk:
    """Two stacks that would agree, and a dice that disturbs them."""

    def __init__(self, dice):
        self.dice = dice
        self.next = [dice.randrange(2**32), dice.randrange(2**32)]
        self.first = list(self.next)
        self.got = [None, None]  # what each has received in order, as the other's number
        self.window = [dice.choice((1000, 8000, 65535)), dice.choice((1000, 8000, 65535))]
        self.scale = [dice.choice((None, 0, 2, 7, 14)), dice.choice((None, 0, 2, 7, 14))]
        self.segments = []

    def send(self, side, flags, seq=None, ack=None, length=0, options=b"", what="", window=None):
        got = self.got[side]
        ack = (got or 0) if ack is None else ack
        self.segments.append(Segment(
            side, flags, self.next[side] if seq is None else seq, ack if flags & ACK else 0,
            self.window[side] if window is None else window, length, options, what))

    def syn_options(self, side):
        scale = b"" if self.scale[side] is None else bytes((1, 3, 3, self.scale[side]))
        return bytes((2, 4, 5, 180, 1, 1, 4, 2)) + scale

    def opens(self):
        self.send(0, SYN, options=self.syn_options(0))
        self.next[0] += 1
        if self.dice.random() < 0.15:
            self.stray()
        self.got[1] = self.next[0]
        self.send(1, SYN | ACK, options=self.syn_options(1))
        self.next[1] += 1
        self.got[0] = self.next[1]
        if self.dice.random() < 0.15:
            self.stray()
        self.send(0, ACK)

    def data(self):
        side = self.dice.randrange(2)
        length = self.dice.choice((1, 100, 500, 900))
        if self.next[side] - self.got[1 - side] + length > self.window[1 - side]:
            self.answer(1 - side)
        self.send(side, ACK | PSH, length=length)
        self.next[side] += length
        if self.dice.random() < 0.7:
            self.answer(1 - side)

    def answer(self, side):
        self.got[side] = self.next[1 - side]
        self.send(side, ACK)

    def closes(self):
        side = self.dice.randrange(2)
        self.answer(side)
        self.send(side, FIN | ACK)
        self.next[side] += 1
        if self.dice.random() < 0.5:
            self.answer(1 - side)
        if self.dice.random() < 0.5:
            self.stray()
        self.got[1 - side] = self.next[side]
        self.send(1 - side, FIN | ACK)
        self.next[1 - side] += 1
        self.answer(side)

    def stray(self):
        """Something that is repeated, late, out of place, or a guess."""
        d = self.dice
        side = d.randrange(2)
        peer = 1 - side
        mine, acked = self.next[side], self.got[peer] or self.first[side]
        others = self.next[peer]
        far = d.choice((3000, 70000, 2**20, 2**30, 2**31 - 1)) * (self.window[peer] // 1000 + 1)
        far = min(far, 2**31 - 1)  # more would lead round the circle, to next to where it began
        kind = d.choice(("repeat", "old data", "ahead", "far ahead", "far behind", "ack ahead",
                         "ack behind", "keep-alive", "sack", "reset", "reset old", "reset inside",
                         "reset ahead", "syn", "syn elsewhere", "syn ack", "fin elsewhere",
                         "closed window", "no options"))
        if kind == "repeat" and self.segments:
            last = d.choice(self.segments[-4:])
            self.segments.append(last._replace(what=kind))
        elif kind == "old data":
            self.send(side, ACK, seq=acked, length=min(mine - acked, 900), what=kind)
        elif kind == "ahead":
            self.send(side, ACK, seq=mine + d.randrange(1, 500), length=d.randrange(100), what=kind)
        elif kind == "far ahead":
            self.send(side, ACK, seq=mine + far * 16384, length=10, what=kind)
        elif kind == "far behind":
            self.send(side, ACK, seq=mine - far, length=10, what=kind)
        elif kind == "ack ahead":
            self.send(side, ACK, ack=others + d.choice((1, 1000, 2**30)), what=kind)
        elif kind == "ack behind":
            self.send(side, ACK, ack=others - far, what=kind)
        elif kind == "keep-alive":
            self.send(side, ACK, seq=mine - 1, what=kind)
        elif kind == "sack":
            left = others - d.randrange(1, 300)
            block = struct.pack("!II", left & MASK, (left + d.choice((100, 300, 5000))) & MASK)
            self.send(side, ACK, ack=self.got[side] or 0, options=bytes((1, 1, 5, 10)) + block,
                      what=kind)
        elif kind == "reset":
            self.send(side, RST | d.choice((0, ACK)), seq=acked, what=kind)
        elif kind == "reset old":
            self.send(side, RST, seq=acked - d.choice((1, 1000, 2**30)), what=kind)
        elif kind == "reset inside":
            self.send(side, RST, seq=acked + d.randrange(1, 900), what=kind)
        elif kind == "reset ahead":
            self.send(side, RST, seq=mine + far * 16384, what=kind)
        elif kind == "syn":
            self.send(side, SYN, seq=self.first[side], options=self.syn_options(side), what=kind)
        elif kind == "syn elsewhere":
            self.send(side, SYN, seq=d.randrange(2**32), options=self.syn_options(side), what=kind)
        elif kind == "syn ack":
            self.send(side, SYN | ACK, seq=self.first[side], options=self.syn_options(side),
                      what=kind)
        elif kind == "fin elsewhere":
            self.send(side, FIN | ACK, seq=mine + d.choice((-far, far * 16384)), what=kind)
        elif kind == "closed window":
            self.send(side, ACK, window=0, what=kind)

    def walk(self):
        self.opens()
        for _ in range(self.dice.randrange(4, 25)):
            (self.stray if self.dice.random() < 0.4 else self.data)()
        if self.dice.random() < 0.6:
            self.closes()
            for _ in range(self.dice.randrange(3)):
                self.stray()
        return self.segments


# ---- the two judges ------------------------------------------------------------------------


def by_sluice(connections, directory):
    """By connection and segment: None if it passed, else the drop reason."""
    (directory / "policy.d").mkdir()
    (directory / "policy.d/cluster.yaml").write_text((GOLDEN / "cluster.yaml").read_text())
    settings = (GOLDEN / "sluice.yaml").read_text()
    (directory / "sluice.yaml").write_text(
        settings + "connections: {max: 65536, endpointShare: 1}\npath: {tcpLoose: off}\n")
    captures = directory / "captures"
    captures.mkdir()
    frames, keys, time = ([], []), ([], []), START_NS
    for port, segments in connections.items():
        for n, s in enumerate(segments):
            time += 10_000
            frames[s.side].append((time, mac(PROXY) + mac(MACS[s.side]) + b"\x08\0"
                                   + packet(s, port, n)))
            keys[s.side].append((port, n))
    for name, sent in zip(PORTS, frames):
        write_pcap(captures / f"{name}.in.pcap", sent)
    run(SLUICED, "--config", str(directory / "sluice.yaml"), "--replay", str(captures), timeout=120)
    out = {}
    for row in json.loads((captures / "counters.json").read_text())["fates"]:
        key = keys[PORTS.index(row["port"])][row["index"]]
        out[key] = None if row["fate"] == "forwarded" else row["reason"]
    return out


RULES = """table ip walk {
  chain forward {
    type filter hook forward priority 0; policy accept;
    ct state invalid drop
  }
}
"""


class Router:
    """A kernel that forwards between two namespaces and follows connections."""

    def __init__(self):
        self.middle = Namespace("middle")
        self.sides = [Namespace("side0"), Namespace("side1")]
        with self.middle.entered():
            for name, value in (("ipv4/ip_forward", "1"),):
                pathlib.Path("/proc/sys/net", name).write_text(value)
        for n, side in enumerate(self.sides):
            self.middle.ip("link", "add", f"side{n}", "type", "veth", "peer", "name", "eth0",
                           "netns", side.name)
            self.middle.ip("link", "set", f"side{n}", "address", PROXY, "up")
            side.ip("link", "set", "eth0", "address", MACS[n], "up")
            self.middle.ip("route", "add", f"{ADDRESSES[n]}/32", "dev", f"side{n}")
            self.middle.ip("neigh", "add", ADDRESSES[n], "lladdr", MACS[n], "dev", f"side{n}",
                           "nud", "permanent")
        self.middle.run("nft", "-f", "-", input=RULES)
        with self.middle.entered():
            for name, value in (("tcp_loose", "0"), ("tcp_be_liberal", "0")):
                pathlib.Path("/proc/sys/net/netfilter/nf_conntrack_" + name).write_text(value)

    def judge(self, connections):
        """The (connection, segment) that passed."""
        taps = [Capture(side, "eth0") for side in self.sides]
        raws = []
        for side in self.sides:
            raw = side.socket(socket.AF_PACKET, socket.SOCK_RAW)
            with side.entered():
                raw.bind(("eth0", 0))
            raws.append(raw)
        for port, segments in connections.items():
            for n, s in enumerate(segments):
                raws[s.side].send(mac(PROXY) + mac(MACS[s.side]) + b"\x08\0" + packet(s, port, n))
        # The last is one that passes: a SYN of a connection of its own.
        raws[0].send(mac(PROXY) + mac(MACS[0]) + b"\x08\0"
                     + packet(Segment(0, SYN, 1, 0, 1000, 0), 1, 0))
        passed = set()

        def drained():
            for side, tap in enumerate(taps):
                for frame in self.frames(tap):
                    ports = struct.unpack("!HH", frame[34:38])
                    passed.add((ports[1 - side], struct.unpack("!H", frame[18:20])[0]))
            return (1, 0) in passed
        wait_until(drained, "the kernel does not forward", 20)
        for s in taps + raws:
            (s.socket if isinstance(s, Capture) else s).close()
        return passed

    @staticmethod
    def frames(tap):
        while True:
            try:
                data, address = tap.socket.recvfrom(65536)
            except BlockingIOError:
                return
            if address[2] != 4:  # not what we send ourselves
                yield data

    def close(self):
        for namespace in [self.middle, *self.sides]:
            namespace.close()


# ---- what may differ -----------------------------------------------------------------------

class Past:
    """What had happened on a connection before its segment `n`."""

    def __init__(self, segments, n, kernel, ours):
        self.segment, self.kernel, self.reason = segments[n], kernel[n], ours[n]
        self.begins(segments[0])
        self.early_reset = self.reopened = self.stray_syn = self.anew = self.old_fin = False
        for s, passed in zip(segments[:n], kernel):
            if passed:
                self.see(s)

    def begins(self, syn):
        self.initiator, self.first = syn.side, syn.seq
        self.first_of = {syn.side: syn.seq}
        self.answered = self.established = self.reset = self.other_syn = False
        self.fins = 0

    def see(self, s):
        if s.flags & RST:
            self.reset = True
            self.early_reset |= not self.established or self.fins > 0
        elif s.flags & SYN and not s.flags & ACK:
            if self.reset or self.fins >= 2:
                self.begins(s)
                self.reopened = True
            self.other_syn |= s.side == self.initiator and s.seq != self.first
            self.stray_syn |= self.answered
        elif s.flags & SYN:
            self.first_of.setdefault(s.side, s.seq)
            self.anew |= self.stray_syn and s.side != self.initiator
            self.answered |= s.side != self.initiator
        else:
            self.established |= s.side == self.initiator and self.answered
            self.fins += bool(s.flags & FIN)
            first = self.first_of.get(s.side, s.seq)
            self.old_fin |= bool(s.flags & FIN) and (s.seq - first) & MASK > MASK // 2

    def is_reset(self):
        return bool(self.segment.flags & RST)


# Where the document is stricter than the kernel, or follows more than the kernel does.
DIFFERENCES = (
    ("the kernel believes any reset before a connection is established, when it closes, and "
     "after a SYN out of turn",
     lambda p: p.is_reset() and p.kernel and p.reason in ("ct_rst", "ct_window")
     and (not p.established or p.reset or p.fins > 0 or p.stray_syn)),
    ("and ends the connection by it",
     lambda p: p.early_reset),
    ("of two SYNs with different numbers sluice keeps both until one is answered",
     lambda p: p.other_syn and not p.established),
    ("a SYN opens a closed connection anew, whoever closed it",
     lambda p: p.reopened),
    ("a SYN and its answer, seen again, begin anew: the kernel with that SYN's window, sluice "
     "with the largest before",
     lambda p: p.anew),
    ("what an inexact reset numbers is sent for the kernel; an exact one ends a connection for "
     "sluice only if it is not stale",
     lambda p: p.reset),
    ("a FIN numbered before its side's SYN may close the connection: sluice keeps the largest "
     "window in units of its scale, rounded up, the kernel to the byte",
     lambda p: p.old_fin),
    ("a little more than the window allows may pass (the kernel calls it invalid, and follows)",
     lambda p: not p.kernel and p.reason is None and p.segment.what in ("ahead", "far ahead")),
)


def explained(segments, n, kernel, ours):
    past = Past(segments, n, kernel, ours)
    for sentence, holds in DIFFERENCES:
        if holds(past):
            return sentence
    return None


def test_sluice_and_the_kernel_agree_on_random_walks(request):
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(2**32))
    print("SEED", seed)
    dice = random.Random(seed)
    count = 40000 if request.config.getoption("--long") else 5000
    connections = {port: Walk(dice).walk() for port in range(2000, 2000 + count)}
    cores = os.sched_getaffinity(0)
    directory, router = make_directory(), Router()
    try:
        ours = by_sluice(connections, directory)
        os.sched_setaffinity(0, {min(cores)})  # the router's softirqs keep our order
        kernels = router.judge(connections)
    finally:
        os.sched_setaffinity(0, cores)
        router.close()
        remove_directory(directory)
    seen, agreed, strange = collections.Counter(), 0, []
    for port, segments in connections.items():
        reasons = [ours[port, n] for n in range(len(segments))]
        passes = [(port, n) in kernels for n in range(len(segments))]
        for n, s in enumerate(segments):
            if passes[n] == (reasons[n] is None):
                agreed += 1
                continue
            sentence = explained(segments, n, passes, reasons)
            seen[sentence] += 1
            if sentence is None:
                strange.append((port, n, "passes" if passes[n] else "drops", reasons[n],
                                segments[: n + 1]))
            break
    total = sum(map(len, connections.values()))
    print(f"{agreed} of {total} segments judged alike; {dict(seen)}")
    for port, n, kernel, reason, before in strange[:5]:
        print(f"connection {port}, segment {n}: kernel {kernel}, sluice: {reason or 'passes'}")
        for line in before:
            print("   ", line)
    assert not strange, f"{len(strange)} segments that nothing explains; SEED={seed}"
    assert agreed > total / 2
