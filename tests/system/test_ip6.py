# SPDX-License-Identifier: Apache-2.0
"""IPv6: pods of a node, of another node without IPIP, the node itself and the world beyond."""
import json
import os

import pytest
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS,
                                ICMPv6PacketTooBig, IPv6, in6_chksum)

from cluster import Cluster, Host, Machine, exchange_tcp, exchange_udp, transfer
from namespace import Capture, checksums_are_right, wait_until
from test_device import DEVICES, give_device, start
from test_host_endpoint import (ALLOWS, OPEN, connected, hooked, host_endpoint, policy, protect,
                                take_macvlan)
from test_policy import CALICO, DENY_ALL, carries, denied

POD1, NGINX1, FAR = "fd00:10::153:204", "fd00:10::153:201", "fd00:10::146:205"
WORLD = "2001:db8:77::1"
GATEWAY = "fe80::ecee:eeff:feee:eeee"  # what pods have as their gateway


def addresses(namespace, interface):
    return json.loads(namespace.ip("-j", "-6", "addr", "show", "dev", interface))[0]["addr_info"]


class Other(Machine):
    """node112 without sluice: its kernel holds a pod's address and the world's, both plainly."""

    def __init__(self, cluster, node):
        super().__init__(cluster, 112, "10.244.146.192/26")
        self.enable_ip6("fd00:100::112", "fd00:10::146:0/112")
        self.namespace.enable_ip6("lo")
        for address in (FAR, WORLD):
            self.namespace.ip("-6", "addr", "add", f"{address}/128", "dev", "lo")
        self.way_back = f"{node.block6} via {node.six.address} dev ens10".split()
        self.namespace.ip("-6", "route", "add", *self.way_back)

    def link_local(self):
        return next(a["local"] for a in addresses(self.namespace, "ens10") if a["scope"] == "link")


@pytest.fixture
def node(cluster):
    made = cluster.node()
    made.enable_ip6("fd00:100::111", "fd00:10::153:0/112")
    made.settings["uplink"]["addresses"].append(f"{made.six.address}/64")
    return made


@pytest.fixture
def other(cluster, node):
    cluster.machines.append(Other(cluster, node))
    node.settings["uplink"]["gateway6"] = cluster.machines[-1].link_local()
    return cluster.machines[-1]


@pytest.fixture
def pod1(cluster, node):
    return cluster.pod(node, "pod1", Cluster.POD1, POD1, role="pod1").six


@pytest.fixture
def nginx1(cluster, node):
    return cluster.pod(node, "nginx1", Cluster.NGINX1, NGINX1, app="nginx").six


@pytest.fixture
def far(other):
    return Host(other.namespace, FAR)


@pytest.fixture
def world(other):
    return Host(other.namespace, WORLD)


def eth0(host):
    return Capture(host.namespace, "eth0")


def of_flow(capture, layer, source, destination):
    return [p for p in capture.packets() if IPv6 in p and layer in p and
            (p[IPv6].src, p[IPv6].dst) == (source.address, destination.address)]


def check_flow(capture, layer, source, destination):
    """There are such packets, all their checksums are right and one hop has counted them."""
    packets = of_flow(capture, layer, source, destination)
    assert packets, [p.summary() for p in capture.packets()]
    assert not [p.summary() for p in packets if not checksums_are_right(p)]
    assert {p[IPv6].hlim for p in packets} == {63}


EXCHANGES = pytest.mark.parametrize("layers, exchange", [
    pytest.param((ICMPv6EchoRequest, ICMPv6EchoReply),
                 lambda a, b: a.pings(b) or pytest.fail("a ping is not answered"), id="ping"),
    pytest.param((TCP, TCP), exchange_tcp, id="tcp"),
    pytest.param((UDP, UDP), exchange_udp, id="udp"),
])


@EXCHANGES
def test_local_pods_reach_each_other(node, pod1, nginx1, layers, exchange):
    node.start()
    with eth0(pod1) as at_pod1, eth0(nginx1) as at_nginx1:
        exchange(pod1, nginx1)
        check_flow(at_nginx1, layers[0], pod1, nginx1)
        check_flow(at_pod1, layers[1], nginx1, pod1)


@pytest.mark.parametrize("cores", [[0], [0, 1]], ids=["one_worker", "two_workers"])
@EXCHANGES
def test_a_pod_and_a_pod_of_another_node_exchange_without_a_tunnel(node, other, pod1, nginx1, far,
                                                                   layers, exchange, cores):
    node.settings["workers"]["cores"] = cores
    node.start()
    with node.capture() as wire, eth0(pod1) as at_pod1:
        exchange(pod1, far)
        exchange(far, nginx1)
        check_flow(wire, layers[0], pod1, far)
        check_flow(wire, layers[1], nginx1, far)
        check_flow(at_pod1, layers[1], far, pod1)


@EXCHANGES
def test_a_pod_and_the_world_reach_each_other_by_a_link_local_gateway(node, pod1, nginx1, world,
                                                                      layers, exchange):
    node.start()
    exchange(pod1, world)
    exchange(world, nginx1)


def reach_each_other(*pairs):
    for a, b in pairs:
        assert a.pings(b) and b.pings(a)
        exchange_tcp(a, b)
        exchange_tcp(b, a)
        exchange_udp(a, b)


@DEVICES
def test_pods_and_the_nodes_kernel_use_a_dpdk_device(node, other, pod1, nginx1, far, world, device,
                                                     cores):
    give_device(node, device, cores)
    node.settings["uplink"]["addresses"].append(f"{node.six.address}/64")
    node.settings["uplink"]["gateway6"] = other.link_local()
    start(node)
    reach_each_other((pod1, far), (nginx1, world), (pod1, nginx1))
    operator = Host(other.namespace, other.six.address)
    assert operator.pings(node.six)
    exchange_tcp(operator, node.six, 22)
    exchange_tcp(node.six, operator, 443)


def test_an_uplink_without_native_xdp_carries_ipv6(node, other, pod1, nginx1, far, world):
    take_macvlan(node)
    node.namespace.enable_ip6("up0")
    node.namespace.ip("-6", "addr", "add", f"{node.six.address}/64", "dev", "up0", "nodad")
    node.start()
    assert "xdpgeneric" in node.namespace.ip("link", "show", "up0")
    reach_each_other((pod1, far), (nginx1, world), (pod1, nginx1))
    operator = Host(other.namespace, other.six.address)
    exchange_tcp(operator, node.six, 22)
    exchange_tcp(node.six, operator, 443)


def test_a_datagram_larger_than_any_mtu_goes_in_fragments(node, pod1, nginx1, world):
    node.start()
    assert pod1.pings(nginx1) and nginx1.pings(world)  # three packets wait for a neighbour
    exchange_udp(pod1, nginx1, size=6000)
    exchange_udp(pod1, world, size=6000)
    exchange_udp(world, nginx1, size=6000)


def test_policy_judges_ipv6_like_ipv4(node, pod1, nginx1, world):
    node.write("kubernetes.yaml", DENY_ALL)
    node.write("calico.yaml", CALICO)
    node.start()
    exchange_tcp(pod1, nginx1, 80)
    assert node.rule("allow-pod1")["connections"] == 1
    denied(node, lambda: pod1.reaches(nginx1, 81))
    denied(node, lambda: world.reaches(nginx1, 80))
    denied(node, lambda: nginx1.reaches(pod1, 80))
    exchange_tcp(nginx1, world)
    node.remove("kubernetes.yaml")
    node.reload()
    exchange_tcp(nginx1, pod1)


def test_a_pod_may_use_its_own_address_only(node, pod1, nginx1):
    node.start()
    pod1.namespace.ip("-6", "addr", "add", "fd00:10::153:99/128", "dev", "eth0")
    denied(node, lambda: Host(pod1.namespace, "fd00:10::153:99").reaches(nginx1, 80),
           "rpf_workload")
    exchange_tcp(pod1, nginx1)


def test_node_reaches_its_pods_and_they_reach_it(node, pod1, nginx1):
    node.write("kubernetes.yaml", DENY_ALL)
    node.start()
    exchange_tcp(node.six, pod1, 8080)  # a probe, whatever policy says
    exchange_udp(node.six, pod1)
    assert node.six.pings(pod1)
    assert pod1.pings(node.six)
    exchange_tcp(pod1, node.six, 10250)
    denied(node, lambda: nginx1.reaches(pod1, 8080))


def test_other_ipv6_of_the_uplink_stays_with_the_kernel(node, other, pod1):
    node.start()
    operator = Host(other.namespace, other.six.address)
    assert operator.pings(node.six)
    exchange_tcp(operator, node.six, 2222)
    exchange_udp(node.six, operator)
    assert node.query("stats", "ports")["uplink"]["rx_packets"] == 0


def test_pods_find_their_gateway_and_are_found(node, other, pod1, world):
    """No resource tells the pod's MAC: the first packet for it waits for the answer."""
    node.start()
    with eth0(pod1) as at_pod1:
        exchange_udp(world, pod1)
        asked = [p for p in at_pod1.packets() if ICMPv6ND_NS in p and p[ICMPv6ND_NS].tgt == POD1]
    assert asked and all(p[IPv6].hlim == 255 and checksums_are_right(p) for p in asked)
    assert pod1.pings(world)
    neighbours = json.loads(pod1.namespace.ip("-j", "-6", "neigh", "show", "dev", "eth0"))
    assert {(n["dst"], n["lladdr"]) for n in neighbours} == {(GATEWAY, "ee:ee:ee:ee:ee:ee")}


def test_nobody_has_a_pods_address_but_the_pod(node, pod1, nginx1):
    """Duplicate address detection finds no duplicate."""
    node.start()
    for setting in ("disable_ipv6=1", "accept_dad=1", "disable_ipv6=0"):
        pod1.namespace.run("sysctl", "-qw", f"net.ipv6.conf.eth0.{setting}")
    with eth0(pod1) as at_pod1:
        pod1.namespace.ip("-6", "addr", "add", f"{POD1}/128", "dev", "eth0")

        def states():
            return addresses(pod1.namespace, "eth0")
        wait_until(lambda: len(states()) == 2 and not any("tentative" in a for a in states()),
                   lambda: f"tentative: {states()}", 5)
        assert not any("dadfailed" in a for a in states())
        assert not [p for p in at_pod1.packets() if ICMPv6ND_NA in p and p[ICMPv6ND_NA].tgt == POD1]


def too_big(capture):
    return capture.wait_for(lambda p: ICMPv6PacketTooBig in p, "no packet-too-big")


def completes(client, server, size=300_000):
    with server.listen(80) as listener, client.connect(server, 80) as near:
        there, _ = listener.accept()
        with there:
            there.settimeout(10)
            transfer(near, there, os.urandom(size))


def test_tcp_learns_the_mtu_of_the_uplink_and_completes(cluster, node, other, pod1, far):
    # The other side offers segments for 1500 bytes, so that only path MTU discovery helps.
    cluster.wire.ip("link", "set", node.port, "mtu", "1300")
    node.namespace.ip("link", "set", "ens10", "mtu", "1300")
    other.namespace.ip("-6", "route", "replace", *other.way_back, "advmss", "1440")
    node.start()
    with eth0(pod1) as at_pod1:
        completes(pod1, far)
        told = too_big(at_pod1)
    assert {p[ICMPv6PacketTooBig].mtu for p in told} == {1300}
    assert {(p[IPv6].src, p[IPv6].dst) for p in told} == {(node.six.address, pod1.address)}
    # What it quotes has a checksum of its own, unfinished and cut off.
    assert {in6_chksum(58, p[IPv6], bytes(p[IPv6].payload)) for p in told} == {0}
    assert "mtu 1300" in pod1.namespace.ip("-6", "route", "get", far.address)


def test_tcp_learns_the_mtu_of_a_narrow_network_behind(cluster, node, other, pod1, far):
    # The switch becomes a router in front of the other node, whose link takes 1300 bytes.
    wire = cluster.wire
    for interface in ("switch", other.port):
        wire.enable_ip6(interface)
    for command in (f"link set {other.port} nomaster", f"link set {other.port} mtu 1300",
                    "-6 addr add fd00:100::1/64 dev switch",
                    f"-6 addr add fd00:101::1/64 dev {other.port}",
                    f"-6 route add {FAR}/128 via fd00:101::112 dev {other.port}",
                    f"-6 route add {node.block6} via {node.six.address} dev switch"):
        wire.ip(*command.split())
    wire.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    for command in ("link set ens10 mtu 1300", "-6 addr add fd00:101::112/64 dev ens10",
                    f"-6 route replace {node.block6} via fd00:101::1 dev ens10 advmss 1440"):
        other.namespace.ip(*command.split())
    node.settings["uplink"]["gateway6"] = "fd00:100::1"
    node.settings["routes"] = [{"block": other.block6, "node": "fd00:100::1", "mode": "direct"}]
    node.start()
    with eth0(pod1) as at_pod1:
        completes(pod1, far)
        told = too_big(at_pod1)
    assert {p[ICMPv6PacketTooBig].mtu for p in told} == {1300}
    assert {p[IPv6].src for p in told} == {"fd00:100::1"}, "the router's word"
    assert "mtu 1300" in pod1.namespace.ip("-6", "route", "get", far.address)


def test_a_packet_whose_hops_end_is_answered_like_by_a_router(node, pod1, nginx1):
    node.start()
    done = pod1.ping(nginx1, "-t", "1")
    assert f"From {node.six.address} " in done.stdout and "Hop limit" in done.stdout, done.stdout
    assert node.drops()["ip6_hop"] == 3
    assert pod1.ping(nginx1, "-t", "2").returncode == 0


def let_the_kernel_forward(node, pod):
    """The node's kernel knows the way to the pod, should it get something for it."""
    namespace = node.namespace
    namespace.enable_ip6(pod.interface)
    namespace.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    namespace.ip("-6", "route", "add", f"{pod.six.address}/128", "dev", pod.interface)
    namespace.ip("-6", "neigh", "add", pod.six.address, "lladdr", pod.mac(), "nud", "permanent",
                 "dev", pod.interface)


def gets_nothing(pod, world):
    """What the world sends to the pod does not arrive there."""
    with pod.capture() as arrived:
        assert not world.reaches(pod.six, 80)
        assert not [p.summary() for p in arrived.packets() if IPv6 in p and p[IPv6].src == WORLD]


def test_a_killed_sluiced_leaves_pods_dark_and_the_node_connected(cluster, node, other, pod1,
                                                                  world):
    node.settings["path"]["onExit"] = "drop"
    let_the_kernel_forward(node, cluster.pods[0])
    node.start()
    exchange_tcp(world, pod1)
    node.process.kill()
    node.process.wait(10)
    node.process = None
    gets_nothing(cluster.pods[0], world)
    operator = Host(other.namespace, other.six.address)
    assert operator.pings(node.six)
    node.start()
    exchange_tcp(world, pod1)


@pytest.mark.parametrize("uplink", ["punt", "drop"])
def test_ipv6_that_is_off_is_refused_from_pods_and_never_reaches_them(cluster, node, other, pod1,
                                                                      nginx1, world, uplink):
    node.settings["path"] |= {"ip6": "off", "uplinkIp6": uplink}
    let_the_kernel_forward(node, cluster.pods[0])
    node.start()
    denied(node, lambda: pod1.reaches(nginx1, 80), "ip6_disabled")
    gets_nothing(cluster.pods[0], world)
    operator = Host(other.namespace, other.six.address)
    assert operator.pings(node.six) == (uplink == "punt")
    assert node.namespace.ip("-6", "rule").count("\n") == 2, "the kernel's own two"
    node.settings["path"]["ip6"] = "on"
    node.write_config()
    node.reload()
    exchange_tcp(pod1, nginx1)
    wait_until(lambda: operator.pings(node.six), "discovery does not work again", 10)
    exchange_tcp(world, pod1)


def test_a_host_endpoint_judges_the_nodes_own_ipv6(node, other, pod1):
    """And what was there before lives on; discovery stays with the kernel."""
    operator = Host(other.namespace, other.six.address)
    with connected(operator, node.six, 22) as ssh, connected(operator, node.six, 8081) as web, \
            connected(node.six, operator, 5433) as database:
        def all_carry():
            assert all(carries(*pair) and carries(*reversed(pair))
                       for pair in (ssh, web, database))
        node.start()
        protect(node, host_endpoint() + ALLOWS)
        assert hooked(node)
        all_carry()
        for machine in (node, other):
            machine.namespace.ip("-6", "neigh", "flush", "dev", "ens10")
        exchange_tcp(operator, node.six, 8080, size=1_000_000)
        exchange_tcp(node.six, operator, 5432, size=1_000_000)
        assert node.rule("x")["connections"] == node.rule("x", "egress")["connections"] == 1
        denied(node, lambda: operator.reaches(node.six, 8082), "policy_deny_ingress")
        denied(node, lambda: operator.pings(node.six), "policy_deny_ingress")
        denied(node, lambda: node.six.reaches(operator, 5434), "policy_deny_egress")
        denied(node, lambda: node.six.pings(operator), "policy_deny_egress")
        exchange_tcp(pod1, node.six, 10250)  # between the node and its pods nothing changes
        exchange_udp(node.six, pod1)
        exchange_tcp(operator, node.six, 2379)  # a failsafe port
        all_carry()
        node.remove("host.yaml")
        node.reload()
        all_carry()
        exchange_tcp(operator, node.six, 8082)
        assert node.stop() == 0
        all_carry()


def test_forward_policy_judges_ipv6_that_passes_the_uplink(node, pod1, world):
    protect(node, host_endpoint(more=OPEN) + policy(
        "applyOnForward: true, types: [Ingress, Egress], "
        "ingress: [{action: Allow, protocol: TCP, destination: {ports: [8080]}}], "
        "egress: [{action: Allow, protocol: TCP, destination: {ports: [443]}}]"))
    node.start()
    exchange_tcp(world, pod1, 8080)
    exchange_tcp(pod1, world, 443)
    denied(node, lambda: world.reaches(pod1, 80))
    denied(node, lambda: pod1.reaches(world, 80), "policy_deny_egress")


def test_a_host_endpoint_leaves_ipv6_that_is_off_with_the_kernel(node, other):
    node.settings["path"]["ip6"] = "off"
    protect(node, host_endpoint() + ALLOWS)
    node.start()
    operator = Host(other.namespace, other.six.address)
    exchange_tcp(operator, node.six, 8081)
    exchange_tcp(node.six, operator, 8081)


def test_nothing_of_it_is_left_behind(node, pod1, world):
    node.start()
    exchange_tcp(pod1, world)
    assert "lookup 8600" in node.namespace.ip("-6", "rule")
    assert pod1.address in node.namespace.ip("-6", "route", "show", "table", "8600")
    assert node.stop() == 0
    assert "8600" not in node.namespace.ip("-6", "rule")
    assert "sluice0" not in node.namespace.ip("link")
