# SPDX-License-Identifier: Apache-2.0
"""What trex_flows.py and trex_rfc2544.py use of TRex's API, with a gateway behind it that carries
`STLClient.carries` per cent of the link.  Arguments have TRex's names; instructions are tuples.
"""
from scapy.all import IP, UDP, Ether  # noqa: F401: TRex's API has them, too


def instruction(kind):
    def make(**arguments):
        return kind, arguments
    return make


STLVmTupleGen = instruction("tuple")
STLVmWrFlowVar = instruction("write")
STLVmFixIpv4 = instruction("checksum")
STLFlowLatencyStats = instruction("latency")
STLTXCont = instruction("continuous")


class STLScVmRaw:
    def __init__(self, list_of_commands):
        self.commands = list_of_commands


class STLPktBuilder:
    def __init__(self, pkt, vm=None):
        self.pkt, self.vm = pkt, vm


class STLStream:
    def __init__(self, packet, mode, flow_stats=None):
        self.packet, self.mode, self.flow_stats = packet, mode, flow_stats


class STLClient:
    carries = 100
    trials = []  # (size of the frame with FCS, per cent)
    connected = 0

    def __init__(self, server):
        self.server = server

    def connect(self):
        STLClient.connected += 1

    def disconnect(self):
        STLClient.connected -= 1

    def reset(self, ports):
        self.streams = []

    def add_streams(self, streams, ports):
        self.streams = streams

    def clear_stats(self):
        self.sent = self.received = 0

    def start(self, ports, mult, duration):
        rate = float(mult.removesuffix("%"))
        self.trials.append((len(self.streams[0].packet.pkt) + 4, rate))
        self.sent = int(1000 * rate * duration)
        self.received = int(1000 * min(rate, self.carries) * duration)

    def wait_on_traffic(self, ports, rx_delay_ms):
        pass

    def get_stats(self):
        return {0: {"opackets": self.sent, "ipackets": self.received},
                "latency": {7: {"latency": {"total_min": 4, "average": 5.5, "total_max": 9}}}}
