# SPDX-License-Identifier: Apache-2.0
"""Packets that must not pass: they are dropped, and counted by reason."""
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from cluster import Cluster
from namespace import wait_until

STRANGER = "192.168.100.199"
PAYLOAD = UDP(sport=4000, dport=4001) / Raw(b"spoofed")


def tunnelled(outer_source, inner_source, inner_destination=Cluster.POD1):
    return (IP(src=outer_source, dst="192.168.100.111", proto=4) /
            IP(src=inner_source, dst=inner_destination) / PAYLOAD)


FROM_PEER = [
    pytest.param(tunnelled(STRANGER, Cluster.NGINX2), "tun_src", id="ipip_from_an_unknown_node"),
    pytest.param(tunnelled("192.168.100.112", Cluster.NGINX1), "rpf_tunnel",
                 id="inner_source_is_a_local_pod"),
    pytest.param(tunnelled("192.168.100.112", "8.8.8.8"), "rpf_tunnel",
                 id="inner_source_is_outside_the_peers_blocks"),
    pytest.param(tunnelled("192.168.100.112", Cluster.NGINX2, "8.8.8.8"), "tun_dst",
                 id="inner_destination_is_not_here"),
    pytest.param(IP(src="192.168.100.112", dst="192.168.100.111", proto=4) /
                 tunnelled("192.168.100.112", Cluster.NGINX2), "tun_nested",
                 id="tunnel_in_a_tunnel"),
    pytest.param(IP(src=Cluster.NGINX2, dst=Cluster.POD1) / PAYLOAD, "rpf_uplink",
                 id="remote_pod_without_its_tunnel"),
    pytest.param(IP(src=Cluster.NGINX1, dst=Cluster.POD1) / PAYLOAD, "rpf_uplink",
                 id="local_pod_from_the_uplink"),
]

FROM_POD = [
    pytest.param(IP(src=Cluster.NGINX1, dst=Cluster.NGINX2) / PAYLOAD, "rpf_workload",
                 id="address_of_another_pod"),
    pytest.param(IP(src="192.168.100.111", dst=Cluster.NGINX1) / PAYLOAD, "rpf_workload",
                 id="address_of_the_node"),
    pytest.param(tunnelled(Cluster.POD1, Cluster.NGINX2, Cluster.NGINX1), "tun_from_workload",
                 id="ipip_of_its_own_making"),
    pytest.param(IP(src=Cluster.POD1, dst="10.244.153.250") / PAYLOAD, "rt_blackhole",
                 id="address_of_no_pod"),
    pytest.param(IP(src=Cluster.POD1, dst=Cluster.NGINX1) / UDP(sport=1, dport=2, chksum=0x1234),
                 "l4_checksum", id="wrong_checksum"),
]


def check_dropped(node, pods, send, reason):
    """Three such packets are three drops for `reason`, and reach no pod."""
    before = node.drops().get(reason, 0)
    captures = [pod.capture() for pod in pods]
    for _ in range(3):
        send()
    wait_until(lambda: node.drops().get(reason, 0) == before + 3,
               lambda: f"{reason}: {node.drops()}")
    for capture in captures:
        with capture:
            assert not [p.summary() for p in capture.packets() if UDP in p]


@pytest.mark.parametrize("packet, reason", FROM_PEER)
def test_a_lie_from_the_uplink_is_dropped(node, peer, pod1, nginx1, far, packet, reason):
    # What is for pods goes to the node, as a router would send it.
    peer.namespace.ip("route", "replace", node.block, "via", node.address)
    node.start()
    check_dropped(node, [pod1, nginx1], lambda: peer.namespace.send_raw(packet), reason)
    peer.namespace.ip("route", "replace", node.block, "dev", "tun0")
    assert far.pings(pod1)


@pytest.mark.parametrize("packet, reason", FROM_POD)
def test_a_lie_from_a_pod_is_dropped(node, pod1, nginx1, packet, reason):
    node.start()
    check_dropped(node, [nginx1], lambda: pod1.namespace.send_raw(packet), reason)
    assert pod1.pings(nginx1)


@pytest.mark.parametrize("ip6, reason", [("on", "rpf_workload"), ("off", "ip6_disabled")])
def test_ipv6_of_a_pod_that_has_none_is_refused(node, pod1, nginx1, ip6, reason):
    node.settings["path"]["ip6"] = ip6
    node.start()
    frame = (Ether(dst="ee:ee:ee:ee:ee:ee", src=pod1.mac()) / IPv6(src="fd00::1", dst="fd00::2") /
             PAYLOAD)
    check_dropped(node, [nginx1], lambda: pod1.send_frame(frame), reason)
