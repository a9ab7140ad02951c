# SPDX-License-Identifier: Apache-2.0
"""The words of the cases: who is who in cluster.yaml, and frames as they are on each wire.

A packet is a scapy packet from the IPv4 header on; the functions below put it on a wire.
Lengths and checksums that a packet does not give are filled in by scapy.
"""
import logging
import socket
from collections import namedtuple

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402,F401
from scapy.layers.inet6 import *  # noqa: E402,F401,F403
from scapy.layers.l2 import ARP, Ether  # noqa: E402,F401
from scapy.layers.sctp import SCTP  # noqa: E402,F401
from scapy.utils6 import in6_getnsma, in6_getnsmac  # noqa: E402
from scapy.packet import Raw  # noqa: E402,F401
from scapy.pton_ntop import inet_ntop, inet_pton  # noqa: E402

Pod = namedtuple("Pod", "port ip mac")
CLIENT = Pod("caliclient", "10.244.153.201", "02:00:00:00:01:c9")
WEB = Pod("caliweb", "10.244.153.202", "02:00:00:00:01:ca")
BLUE = Pod("caliblue", "10.244.153.203", "02:00:00:00:01:cb")
FAR = Pod(None, "10.244.146.205", None)  # on the other node
GREEN = Pod(None, "10.244.146.206", None)
# The same by their IPv6 addresses; of IPv6 nothing is tunnelled.
CLIENT6 = CLIENT._replace(ip="fd00:10::153:1")
WEB6 = WEB._replace(ip="fd00:10::153:2")
BLUE6 = BLUE._replace(ip="fd00:10::153:3")
FAR6 = FAR._replace(ip="fd00:10::146:5")

UPLINK, HOST = "uplink", "host"
NODE, NODE_MAC = "192.168.100.111", "02:00:00:00:00:6f"
PEER, PEER_MAC = "192.168.100.112", "02:00:00:00:00:70"  # the other node
GATEWAY, GATEWAY_MAC = "192.168.100.1", "02:00:00:00:00:01"
TUNNEL = "10.244.153.192"  # this node's address in the pods' network
PROXY = "ee:ee:ee:ee:ee:ee"  # what every pod takes for its gateway's MAC
HOST_MAC, KERNEL_MAC = "02:51:1c:00:00:01", "02:51:1c:ff:ff:ff"  # our end, and the node's
BROADCAST = "ff:ff:ff:ff:ff:ff"
WORLD = "203.0.113.7"  # somewhere behind the gateway
NODE6, PEER6, WORLD6 = "fd00:100::111", "fd00:100::112", "2001:db8:7::7"
PROXY6 = "fe80::ecee:eeff:feee:eeee"  # the address that goes with PROXY


def ip(src, dst, **fields):
    """An IP header between two ends: pods or addresses."""
    address = lambda end: end.ip if isinstance(end, Pod) else end
    header = IPv6 if ":" in address(dst) else IP
    return header(src=address(src), dst=address(dst), **fields)


def from_pod(pod, packet):
    """As the pod sends it."""
    return Ether(src=pod.mac, dst=PROXY) / packet


def to_pod(pod, packet):
    """As the pod receives it."""
    return Ether(src=PROXY, dst=pod.mac) / packet


def from_peer(packet, **outer):
    """Through the tunnel from the other node."""
    header = dict(src=PEER, dst=NODE, proto=4, ttl=64, flags="DF") | outer
    return Ether(src=PEER_MAC, dst=NODE_MAC) / IP(**header) / packet


def to_peer(packet, id, **outer):
    """Through the tunnel to the other node.  `id`: our own packets are numbered from 1."""
    header = dict(src=NODE, dst=PEER, proto=4, ttl=64, flags="DF", id=id) | outer
    return Ether(src=NODE_MAC, dst=PEER_MAC) / IP(**header) / packet


def from_gateway(packet):
    return Ether(src=GATEWAY_MAC, dst=NODE_MAC) / packet


def to_gateway(packet):
    return Ether(src=NODE_MAC, dst=GATEWAY_MAC) / packet


def from_host(packet):
    """As the node's own kernel sends it to a pod."""
    return Ether(src=KERNEL_MAC, dst=HOST_MAC) / packet


def to_host(packet):
    """As the node's own kernel receives it."""
    return Ether(src=HOST_MAC, dst=KERNEL_MAC) / packet


def hop(packet):
    """The same packet one router further: a TTL less, its checksum computed anew."""
    onward = packet.copy()
    if isinstance(packet, IPv6):
        onward.hlim -= 1
        return onward
    onward.ttl -= 1
    onward.chksum = None
    return onward


def icmp_error(to, type, code, about, id, mtu=0, by=NODE):
    """The packet in which this node tells `to` what is wrong with the packet `about`."""
    quote = bytes(about)[: 576 - 28]
    return ip(by, to, ttl=64, id=id) / ICMP(type=type, code=code, nexthopmtu=mtu) / Raw(quote)


def syn(src, dst, sport=40000, dport=80, **fields):
    return ip(src, dst) / TCP(sport=sport, dport=dport, flags="S", seq=1000, **fields)


def syn_ack(src, dst, sport=80, dport=40000):
    return ip(src, dst) / TCP(sport=sport, dport=dport, flags="SA", seq=5000, ack=1001)


def ack(src, dst, sport=40000, dport=80):
    return ip(src, dst) / TCP(sport=sport, dport=dport, flags="A", seq=1001, ack=5001)


def udp(src, dst, sport=40000, dport=53, data=b"question", **fields):
    return ip(src, dst, **fields) / UDP(sport=sport, dport=dport) / Raw(data)


def ping6(src, dst, id=7, answer=False):
    kind = ICMPv6EchoReply if answer else ICMPv6EchoRequest
    return ip(src, dst) / kind(id=id, seq=1, data=b"abcdefgh")


def solicit(sender, target, mac, dst=None, hlim=255):
    """A neighbour solicitation, to the group of `target` if not to `dst`."""
    group = in6_getnsma(inet_pton(socket.AF_INET6, target))
    to = in6_getnsmac(group) if dst is None else PROXY
    dst = dst or inet_ntop(socket.AF_INET6, group)
    option = ICMPv6NDOptSrcLLAddr(lladdr=mac) if sender != "::" else b""
    return Ether(src=mac, dst=to) / IPv6(src=sender, dst=dst, hlim=hlim) / ICMPv6ND_NS(
        tgt=target) / option


def advertise(target, mac, to, to_mac, **flags):
    """The answer of who has `mac`."""
    return Ether(src=mac, dst=to_mac) / IPv6(src=target, dst=to, hlim=255) / ICMPv6ND_NA(
        tgt=target, **flags) / ICMPv6NDOptDstLLAddr(lladdr=mac)


def ping(src, dst, id=7, type=8):
    return ip(src, dst) / ICMP(type=type, id=id, seq=1) / Raw(b"abcdefgh")


def arp(op, sender_mac, sender, target, target_mac="00:00:00:00:00:00", **fields):
    """An ARP packet (1 asks, 2 answers), from the pod's or node's MAC and address."""
    return ARP(op=op, hwsrc=sender_mac, psrc=sender, hwdst=target_mac, pdst=target, **fields)


def sent_by(src, packet):
    """The port and the frame by which a pod's or the world's packet arrives."""
    if src in (FAR, GREEN):
        return UPLINK, from_peer(packet)
    if src == FAR6:
        return UPLINK, Ether(src=PEER_MAC, dst=NODE_MAC) / packet
    return (src.port, from_pod(src, packet)) if isinstance(src, Pod) else (
        UPLINK, from_gateway(packet))


def reaches(r, src, dst, packet):
    """The packet arrives at a local pod."""
    r.send(*sent_by(src, packet)).forwarded(dst.port, to_pod(dst, hop(packet)))


def refused(r, src, packet, reason="policy_deny_ingress"):
    r.send(*sent_by(src, packet)).dropped(reason)
