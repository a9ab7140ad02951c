# SPDX-License-Identifier: Apache-2.0
"""TRex profile: UDP flows to a gateway that runs sluice.  For trex_rfc2544.py, and by hand:

  trex> start -f perf/pktgen/trex_flows.py -m 50% --port 0 -t --size 128 --flows 100000 --path ipip

Addresses are those of node/; the gateway's MAC is dest_mac in trex_cfg.yaml.  Paths:
  plain    to the echo pod
  ipip     to the echo pod from pods of node112, which the tester plays: in IPIP, both ways
  transit  to a pod of node112: comes back in IPIP
"""
import argparse
import ipaddress

from trex.stl.api import (
    IP,
    UDP,
    Ether,
    STLFlowLatencyStats,
    STLPktBuilder,
    STLScVmRaw,
    STLStream,
    STLTXCont,
    STLVmFixIpv4,
    STLVmTupleGen,
    STLVmWrFlowVar,
)

GATEWAY, OTHER_NODE = "192.168.100.111", "192.168.100.112"
ECHO_POD, OTHER_POD = "10.244.153.201", "10.244.146.205"
SOURCES = {"plain": "198.18.0.1", "ipip": "10.244.146.193", "transit": "198.18.0.1"}
MOST_SOURCES = 62  # in a block of node112
FIRST_PORT, LAST_PORT = 1024, 65535
FCS = 4
LATENCY_TAIL = 16  # TRex writes its time stamp there
LATENCY_GROUP = 7


def headers(path):
    """All in front of the payload.  UDP goes without checksum: its ports change."""
    def ip(source, destination):
        return IP(src=source, dst=destination, flags="DF")
    pod = OTHER_POD if path == "transit" else ECHO_POD
    inner = ip(SOURCES[path], pod) / UDP(sport=FIRST_PORT, dport=5000, chksum=0)
    return Ether() / (ip(OTHER_NODE, GATEWAY) / inner if path == "ipip" else inner)


def frame(path, size):
    """`size` bytes on the wire, of which the NIC adds the FCS."""
    packet = headers(path)
    room = size - FCS - len(packet)
    if room < 0:
        raise ValueError(f"a frame of path {path} has at least {size - room} bytes, not {size}")
    return packet / (b"x" * room)


def program(path, flows):
    """Steps through `flows` pairs of source address and port."""
    sources = min(flows, MOST_SOURCES)
    ports = -(-flows // sources)
    if FIRST_PORT + ports - 1 > LAST_PORT:
        raise ValueError(f"{flows} flows are too many for {sources} sources")
    first = ipaddress.ip_address(SOURCES[path])
    layer = "IP:1" if path == "ipip" else "IP"
    return STLScVmRaw([
        STLVmTupleGen(name="flow", ip_min=str(first), ip_max=str(first + sources - 1),
                      port_min=FIRST_PORT, port_max=FIRST_PORT + ports - 1, limit_flows=flows),
        STLVmWrFlowVar(fv_name="flow.ip", pkt_offset=f"{layer}.src"),
        STLVmWrFlowVar(fv_name="flow.port", pkt_offset="UDP.sport"),
        STLVmFixIpv4(offset=layer),
    ])


def streams(size=64, flows=10000, path="plain", latency=0):
    """The load, whose rate the one who starts it gives, and `latency` probes a second."""
    load = STLStream(packet=STLPktBuilder(pkt=frame(path, size), vm=program(path, flows)),
                     mode=STLTXCont(pps=1))  # the starter's -m makes it more
    if latency == 0:
        return [load]
    if path != "plain":
        raise ValueError("TRex knows its probes by the IP id, which a tunnel hides: use path plain")
    probe = frame(path, max(size, len(headers(path)) + LATENCY_TAIL + FCS))
    return [load, STLStream(packet=STLPktBuilder(pkt=probe), mode=STLTXCont(pps=latency),
                            flow_stats=STLFlowLatencyStats(pg_id=LATENCY_GROUP))]


def add_arguments(parser):
    parser.add_argument("--flows", type=int, default=10000)
    parser.add_argument("--path", choices=sorted(SOURCES), default="plain")
    parser.add_argument("--latency", type=int, default=0, help="probes a second")


class Profile:
    """What TRex asks a file for."""

    def get_streams(self, tunables=(), **kwargs):
        parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
        parser.add_argument("--size", type=int, default=64, help="bytes, FCS included")
        add_arguments(parser)
        return streams(**vars(parser.parse_args(list(tunables))))


def register():
    return Profile()
