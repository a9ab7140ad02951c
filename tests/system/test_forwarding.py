# SPDX-License-Identifier: Apache-2.0
"""Pods reach pods: on the node, behind a kernel IPIP node, between two sluiced."""
import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP

from cluster import exchange_tcp, exchange_udp
from namespace import Capture, checksums_are_right


def of_flow(capture, layer, source, destination):
    """Packets of that layer between two hosts, in the innermost IPv4 header."""
    found = []
    for packet in capture.packets():
        inner = packet.getlayer(IP, 2) or packet.getlayer(IP)
        if inner and layer in inner and (inner.src, inner.dst) == (source.address,
                                                                   destination.address):
            found.append(packet)
    return found


def check_flow(capture, layer, source, destination):
    """There are such packets and all their checksums are right."""
    packets = of_flow(capture, layer, source, destination)
    assert packets, [p.summary() for p in capture.packets()]
    wrong = [p.summary() for p in packets if not checksums_are_right(p)]
    assert not wrong


EXCHANGES = pytest.mark.parametrize("layer, exchange", [
    pytest.param(ICMP, lambda a, b: a.pings(b) or pytest.fail("a ping is not answered"), id="ping"),
    pytest.param(TCP, exchange_tcp, id="tcp"),
    pytest.param(UDP, exchange_udp, id="udp"),
])


@EXCHANGES
def test_local_pods_reach_each_other_with_right_checksums(node, pod1, nginx1, layer, exchange):
    node.start()
    with pod1.capture() as at_pod1, nginx1.capture() as at_nginx1:
        exchange(pod1, nginx1)
        check_flow(at_nginx1, layer, pod1, nginx1)
        check_flow(at_pod1, layer, nginx1, pod1)


@EXCHANGES
@pytest.mark.parametrize("from_peer", [False, True], ids=["to_peer", "from_peer"])
def test_pod_and_peer_exchange_ipip_with_right_checksums(node, peer, pod1, far, layer, exchange,
                                                         from_peer):
    node.start()
    with node.capture() as wire, pod1.capture() as at_pod1:
        exchange(*((far, pod1) if from_peer else (pod1, far)))
        check_flow(wire, layer, pod1, far)
        check_flow(at_pod1, layer, far, pod1)
        sent = of_flow(wire, layer, pod1, far)
    for packet in sent:
        outer = packet[IP]
        assert (outer.src, outer.dst, outer.proto) == (node.address, peer.address, 4)
        assert (outer.ttl, str(outer.flags), outer.ihl) == (64, "DF", 5)
        assert packet.getlayer(IP, 2).ttl == 63


@pytest.mark.parametrize("cores, queues", [([0], 1), ([0, 1], 1), ([0, 1], 2), ([0, 1], 3)])
def test_pods_of_two_sluiced_nodes_exchange_tcp_both_ways(cluster, node, node2, pod1, nginx1,
                                                          nginx2, cores, queues):
    for each in (node, node2):
        if queues > 1:
            each.namespace.ip("link", "del", "ens10")
            each.plug_in(queues)
        each.settings["workers"]["cores"] = cores
        each.start()
        workers = each.query("status")["workers"]
        assert ["uplink" in w["ports"] for w in workers] == [i < queues for i in cores]
    with Capture(cluster.wire, node.port) as wire:
        exchange_tcp(pod1, nginx2, size=1_000_000)
        exchange_tcp(nginx2, pod1, size=1_000_000)
        exchange_tcp(nginx1, nginx2)
        exchange_tcp(pod1, nginx1)
        for _ in range(16):  # by any queue
            exchange_tcp(nginx1, nginx2)
            exchange_udp(nginx2, nginx1)
            exchange_udp(nginx2, pod1)
        check_flow(wire, TCP, pod1, nginx2)
        check_flow(wire, TCP, nginx1, nginx2)


def test_a_datagram_larger_than_any_mtu_crosses_the_tunnel_in_fragments(node, peer, pod1, far):
    node.start()
    assert pod1.pings(far)  # at most three packets wait for an unknown neighbour
    exchange_udp(pod1, far, size=6000)
    exchange_udp(far, pod1, size=6000)
