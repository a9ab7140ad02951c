# SPDX-License-Identifier: Apache-2.0
"""The node's own kernel beside sluice: it reaches pods, pods reach it, its other traffic stays."""
from scapy.layers.inet import TCP

from cluster import Host, exchange_tcp, exchange_udp
from namespace import checksums_are_right
from test_policy import DENY_ALL, denied


def test_node_reaches_its_pods_and_they_reach_it(node, pod1):
    node.start()
    assert node.host.pings(pod1)
    assert pod1.pings(node.host)
    exchange_tcp(node.host, pod1, 8080)
    exchange_udp(node.host, pod1)
    exchange_tcp(pod1, node.host, 10250)
    exchange_udp(pod1, node.host)


def test_node_reaches_pods_of_the_peer_from_its_tunnel_address(node, peer, far):
    node.start()
    assert node.host.pings(far)
    with far.listen(80) as listener, node.host.connect(far, 80):
        there, address = listener.accept()
        there.close()
    assert address[0] == node.tunnel


def test_a_kubelet_probe_is_answered_though_policy_denies_all(node, pod1, nginx1):
    node.write("kubernetes.yaml", DENY_ALL)
    node.start()
    exchange_tcp(node.host, pod1, 8080)
    denied(node, lambda: nginx1.reaches(pod1, 8080))


def test_what_a_pod_sends_to_its_node_is_judged_by_its_egress_policy(node, pod1):
    node.write("egress.yaml", """apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: no-egress, namespace: default}
spec: {podSelector: {}, policyTypes: [Egress]}
""")
    node.start()
    denied(node, lambda: pod1.reaches(node.host, 10250), "policy_deny_egress")
    exchange_tcp(node.host, pod1, 8080)


def test_frames_from_the_host_port_reach_the_pod_with_right_checksums(node, pod1):
    node.start()
    with pod1.capture() as arrived:
        exchange_tcp(node.host, pod1, 8080)
        packets = [p for p in arrived.packets() if TCP in p]
    assert packets and all(checksums_are_right(p) for p in packets)


def test_other_traffic_of_the_uplink_stays_with_the_kernel(node, peer, pod1):
    """Like an administrator's SSH: before sluiced, while it runs, and after it has ended."""
    operator = Host(peer.namespace, peer.address)
    with node.host.listen(22) as listener, operator.connect(node.host, 22) as near:
        there, _ = listener.accept()
        with there:
            def works():
                near.sendall(b"uptime\n")
                there.settimeout(5)
                assert there.recv(100) == b"uptime\n"
                assert operator.pings(node.host)
                exchange_tcp(operator, node.host, 2222)
                exchange_udp(node.host, peer.host)
            works()
            node.start()
            works()
            ports = node.query("stats", "ports")
            assert ports["uplink"]["rx_packets"] == 0
            assert node.stop() == 0
            works()
