# SPDX-License-Identifier: Apache-2.0
"""Pods of one node: routing, checksums, who may send as whom, the node itself."""
from scene import *


def pod_to_pod(r):
    """A TTL less, the MACs of the last hop; the answer goes back."""
    question, answer = syn(CLIENT, WEB), syn_ack(WEB, CLIENT)
    r.send(CLIENT.port, from_pod(CLIENT, question)).forwarded(WEB.port, to_pod(WEB, hop(question)))
    r.send(WEB.port, from_pod(WEB, answer)).forwarded(CLIENT.port, to_pod(CLIENT, hop(answer)))


def every_ttl_keeps_the_header_checksum_right(r):
    """The checksum is moved along, not computed anew: also over the end-around carry."""
    for ttl in range(2, 256):
        packet = udp(CLIENT, WEB, id=ttl * 251, ttl=ttl)
        r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(
            WEB.port, to_pod(WEB, hop(packet)))
    carry = [udp(CLIENT, WEB, ttl=64, id=id) for id in (0x8F93, 0x8F94, 0x8F95, 0x9094, 0x9093)]
    for packet in carry:
        r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(
            WEB.port, to_pod(WEB, hop(packet)))


def unfinished_checksums_are_finished(r):
    """A pod's kernel leaves the sum of the pseudo-header only; the other side needs it whole."""
    zero = udp(CLIENT, WEB, data=b"\0\0")  # the sum of this one, once finished, is 0: 0xffff
    zero[Raw].load = bytes(zero)[26:28]
    for packet in (syn(CLIENT, WEB), udp(CLIENT, WEB), udp(CLIENT, WEB, data=b"odd"), zero):
        segment = packet[1]
        whole = bytes(packet)
        length = len(whole) - 20
        pseudo = whole[12:20] + bytes([0, packet.proto]) + length.to_bytes(2, "big")
        unfinished = packet.copy()
        unfinished[type(segment)].chksum = _folded_sum(pseudo)
        r.send(CLIENT.port, from_pod(CLIENT, unfinished)).forwarded(
            WEB.port, to_pod(WEB, hop(packet)))


def _folded_sum(data):
    total = sum(int.from_bytes(data[i:i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def another_pods_address(r):
    r.send(CLIENT.port, from_pod(CLIENT, udp(WEB, BLUE))).dropped("rpf_workload")
    r.send(CLIENT.port, from_pod(CLIENT, udp(NODE, BLUE))).dropped("rpf_workload")
    r.send(CLIENT.port, from_pod(CLIENT, udp(WORLD, BLUE))).dropped("rpf_workload")


def the_source_is_checked_before_the_rest(r):
    """What is wrong further in does not hide that the sender lies."""
    bad_flags = ip(WEB, BLUE) / TCP(flags="SF")
    r.send(CLIENT.port, from_pod(CLIENT, bad_flags)).dropped("rpf_workload")
    later = ip(WEB, BLUE, proto=17, id=5, frag=10) / Raw(bytes(16))
    r.send(CLIENT.port, from_pod(CLIENT, later)).dropped("rpf_workload")
    tunnel = ip(WEB, BLUE, proto=47) / Raw(bytes(16))
    r.send(CLIENT.port, from_pod(CLIENT, tunnel)).dropped("rpf_workload")


def transit(r):
    """What touches no pod of ours is not carried, unless path.transit says so: transit-allow/."""
    for dst in (PEER, "192.168.100.50", "198.51.100.1", FAR):
        r.send(UPLINK, from_gateway(udp(WORLD, dst))).dropped("rt_transit")


def to_the_world_by_the_gateway(r):
    question, answer = udp(CLIENT, WORLD), udp(WORLD, CLIENT, 53, 40000)
    r.send(CLIENT.port, from_pod(CLIENT, question)).forwarded(UPLINK, to_gateway(hop(question)))
    r.send(UPLINK, from_gateway(answer)).forwarded(CLIENT.port, to_pod(CLIENT, hop(answer)))


def an_address_of_our_block_that_nobody_has(r):
    r.send(CLIENT.port, from_pod(CLIENT, udp(CLIENT, "10.244.153.250"))).dropped("rt_blackhole")
    r.send(UPLINK, from_gateway(udp(WORLD, "10.244.153.250"))).dropped("rt_blackhole")


def the_last_hop_is_told(r):
    """TTL 1: ICMP 11/0 to the sender; TTL 0 is dropped in silence."""
    last = udp(CLIENT, WEB, ttl=1)
    r.send(CLIENT.port, from_pod(CLIENT, last)).dropped("ip4_ttl").emits(
        CLIENT.port, to_pod(CLIENT, icmp_error(CLIENT, 11, 0, last, id=1)))
    r.send(CLIENT.port, from_pod(CLIENT, udp(CLIENT, WEB, ttl=0))).dropped("ip4_ttl")
    # Never about an error, and not about what comes from a liar.
    error = ip(CLIENT, WEB, ttl=1) / ICMP(type=3, code=3) / Raw(bytes(udp(WEB, CLIENT)))
    r.send(CLIENT.port, from_pod(CLIENT, error)).dropped("ip4_ttl")
    r.send(CLIENT.port, from_pod(CLIENT, udp(WEB, BLUE, ttl=1))).dropped("rpf_workload")


def a_tunnel_of_its_own(r):
    """Encapsulated packets would pass policy by: protocols 4, 41, 47 and VXLAN."""
    for protocol in (4, 41, 47):
        packet = ip(CLIENT, WEB, proto=protocol) / Raw(bytes(udp(CLIENT, BLUE)))
        r.send(CLIENT.port, from_pod(CLIENT, packet)).dropped("tun_from_workload")
    r.send(CLIENT.port, from_pod(CLIENT, udp(CLIENT, WEB, dport=4789))).dropped(
        "tun_from_workload")


def other_protocols_are_flows_of_two_addresses(r):
    packet, answer = (ip(*ends, proto=89) / Raw(b"ospf") for ends in ((CLIENT, WEB), (WEB, CLIENT)))
    r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(WEB.port, to_pod(WEB, hop(packet)))
    r.send(WEB.port, from_pod(WEB, answer)).forwarded(CLIENT.port, to_pod(CLIENT, hop(answer)))
