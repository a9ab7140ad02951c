# SPDX-License-Identifier: Apache-2.0
"""Host endpoints on an uplink of the kernel's: the node's own traffic is policed as forwarded
traffic is, and its connections outlive their coming, changing and going."""
import contextlib
import ctypes
import signal
import socket
import struct

import pytest

from cluster import Machine, exchange_tcp, exchange_udp
from namespace import wait_until
from test_lifecycle import footprint
from test_policy import carries, denied

OPEN = "profiles: [projectcalico-default-allow]"


def host_endpoint(interface="ens10", more="", name="uplink"):
    return f"""apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: {name}, labels: {{host: node}}}}
spec: {{node: node111, interfaceName: "{interface}", {more}}}
---
"""


def policy(spec, name="x"):
    return f"""apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {{name: {name}}}
spec: {{selector: host == 'node', {spec}}}
---
"""


def felix(spec):
    return f"""apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {{name: default}}
spec: {{defaultEndpointToHostAction: Accept, {spec}}}
---
"""


@pytest.fixture
def operator(cluster, node):
    """A machine on the node's network that is no node of the cluster."""
    machine = Machine(cluster, 113, "10.9.9.0/24")
    machine.namespace.ip("route", "add", node.block, "via", node.address)
    yield machine.host
    machine.close()


def protect(node, text):
    node.write("host.yaml", text)
    if node.process is not None:
        node.reload()


@contextlib.contextmanager
def connected(client, server, port):
    with server.listen(port) as listener, client.connect(server, port) as near:
        there, _ = listener.accept()
        with there:
            yield near, there


def hooked(node, interface="ens10"):
    """Does a program of tcx's stand at the interface's egress?"""
    BPF, BPF_PROG_QUERY, BPF_TCX_EGRESS = 321, 16, 47
    with node.namespace.entered():
        index = socket.if_nametoindex(interface)
        query = ctypes.create_string_buffer(struct.pack("=IIIIQI", index, BPF_TCX_EGRESS, 0, 0, 0,
                                                        0), 64)
        ctypes.CDLL(None).syscall(BPF, BPF_PROG_QUERY, query, 64)
    return struct.unpack_from("=I", query, 24)[0] > 0


ALLOWS = policy("types: [Ingress, Egress], ingress: [{action: Allow, protocol: TCP, destination: "
                "{ports: [8080, 8088]}}], egress: [{action: Allow, protocol: TCP, destination: "
                "{ports: [5432]}}]")


@pytest.mark.parametrize("cores, queues", [([0], 1), ([0, 1], 1), ([0, 1], 2)])
def test_connections_of_the_node_outlive_its_host_endpoint(node, operator, pod1, cores, queues):
    """Added, changed and removed under long-lived connections, in both directions."""
    if queues > 1:
        node.namespace.ip("link", "del", "ens10")
        node.plug_in(queues)
    node.settings["workers"]["cores"] = cores
    with connected(operator, node.host, 22) as ssh, connected(operator, node.host, 8080) as web, \
            connected(node.host, operator, 5432) as database:
        def all_carry():
            assert all(carries(*pair) and carries(*reversed(pair))
                       for pair in (ssh, web, database))
        all_carry()
        before = footprint(node)
        node.start()
        for text in (host_endpoint(more=OPEN), host_endpoint() + ALLOWS,
                     host_endpoint() + policy("types: [Ingress, Egress]"),
                     host_endpoint(interface="*") + ALLOWS):
            protect(node, text)
            all_carry()
            assert hooked(node)
            exchange_tcp(operator, node.host, 2379)  # a failsafe port
        # Opened through the workers, then left to the kernel, and taken up again.
        protect(node, host_endpoint() + ALLOWS)
        with connected(operator, node.host, 8088) as late:
            assert carries(*late)
            node.remove("host.yaml")
            node.reload()
            assert not hooked(node)
            all_carry()
            assert carries(*late)
            seen = node.query("stats", "ports")["uplink"]["rx_packets"]
            exchange_tcp(operator, node.host, 2222)
            assert node.query("stats", "ports")["uplink"]["rx_packets"] == seen
            protect(node, host_endpoint() + ALLOWS)
            assert carries(*late)
            all_carry()
        assert node.stop() == 0
        all_carry()
        assert footprint(node) == before


def test_a_connection_made_between_two_host_endpoints_outlives_the_second(node, operator):
    """One for the tunnel comes first, and the node's own traffic stays with its kernel; what is
    there when the uplink's follows is not what was there at first."""
    node.start()
    protect(node, host_endpoint("tunl0", OPEN, "tunnel"))
    assert not hooked(node)
    with connected(operator, node.host, 8080) as web:
        protect(node, host_endpoint("tunl0", OPEN, "tunnel") + host_endpoint()
                + policy("types: [Ingress, Egress]"))
        assert hooked(node)
        denied(node, lambda: operator.reaches(node.host, 8081), "policy_deny_ingress")
        assert carries(*web) and carries(*reversed(web))


def test_policy_judges_what_the_node_receives_and_sends(node, operator, pod1):
    protect(node, host_endpoint() + ALLOWS)
    node.start()
    exchange_tcp(operator, node.host, 8080, size=1_000_000)
    exchange_tcp(node.host, operator, 5432, size=1_000_000)
    assert node.rule("x")["connections"] == 1
    assert node.rule("x", "egress")["connections"] == 1
    denied(node, lambda: operator.reaches(node.host, 8081), "policy_deny_ingress")
    denied(node, lambda: operator.pings(node.host), "policy_deny_ingress")
    denied(node, lambda: node.host.reaches(operator, 5433), "policy_deny_egress")
    denied(node, lambda: node.host.pings(operator), "policy_deny_egress")
    # Between the node and its own pods nothing changes.
    exchange_tcp(pod1, node.host, 10250)
    exchange_udp(node.host, pod1)
    # Failsafe ports: SSH in, DNS out.
    exchange_tcp(operator, node.host, 22)
    exchange_udp(node.host, operator, 53)


def test_a_host_endpoint_without_policy_leaves_the_failsafe_ports(node, operator):
    protect(node, host_endpoint())
    node.start()
    exchange_tcp(operator, node.host, 22)
    exchange_tcp(node.host, operator, 6443)
    denied(node, lambda: operator.reaches(node.host, 80))
    denied(node, lambda: node.host.reaches(operator, 80), "policy_deny_egress")


def test_failsafe_ports_are_the_configured_ones(node, operator):
    protect(node, host_endpoint() + felix(
        'failsafeInboundHostPorts: [{protocol: tcp, port: 2222, net: 192.168.100.0/24}], '
        'failsafeOutboundHostPorts: [{protocol: udp, port: 123}]'))
    node.start()
    exchange_tcp(operator, node.host, 2222)
    exchange_udp(node.host, operator, 123)
    denied(node, lambda: operator.reaches(node.host, 22))
    denied(node, lambda: node.host.reaches(operator, 6443), "policy_deny_egress")


def test_plain_policy_leaves_forwarded_traffic_and_the_mesh(node, operator, pod1, far):
    protect(node, host_endpoint() + policy("types: [Ingress, Egress]"))
    node.start()
    exchange_tcp(operator, pod1, 8080)
    exchange_tcp(pod1, operator, 8080)
    exchange_tcp(far, pod1)
    exchange_tcp(pod1, far)
    assert node.host.pings(far)


def test_forward_policy_judges_what_passes_the_uplink_to_pods(node, operator, pod1, far):
    protect(node, host_endpoint(more=OPEN) + policy(
        "applyOnForward: true, types: [Ingress, Egress], "
        "ingress: [{action: Allow, protocol: TCP, destination: {ports: [8080]}}], "
        "egress: [{action: Allow, protocol: TCP, destination: {ports: [443]}}]"))
    node.start()
    exchange_tcp(operator, pod1, 8080)
    exchange_tcp(pod1, operator, 443)
    denied(node, lambda: operator.reaches(pod1, 22))  # failsafes are the node's
    denied(node, lambda: pod1.reaches(operator, 80), "policy_deny_egress")
    exchange_tcp(far, pod1)  # on tunl0, not on the uplink
    exchange_tcp(operator, node.host, 8080)  # it is the node's policy, too
    denied(node, lambda: operator.reaches(node.host, 80))


def test_every_interface_judges_what_passes_between_pods(node, pod1, nginx1, far):
    protect(node, host_endpoint("*", OPEN, "every") + policy(
        "applyOnForward: true, types: [Ingress], "
        "ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]"))
    node.start()
    exchange_tcp(pod1, nginx1, 80)
    exchange_tcp(far, nginx1, 80)
    denied(node, lambda: pod1.reaches(nginx1, 81))
    denied(node, lambda: far.reaches(nginx1, 81))
    exchange_tcp(node.host, pod1, 81)
    exchange_tcp(pod1, node.host, 81)


def test_pre_dnat_policy_judges_all_that_comes_in_first(node, operator, pod1, far):
    protect(node, host_endpoint() + policy(
        "preDNAT: true, applyOnForward: true, types: [Ingress], ingress: ["
        "{action: Allow, protocol: TCP, destination: {ports: [80]}}, "
        "{action: Deny, protocol: TCP, destination: {ports: [81]}}, {action: Deny, protocol: 4}]"))
    node.start()
    exchange_tcp(operator, node.host, 80)  # past normal policy, which allows nothing
    exchange_tcp(operator, pod1, 80)
    denied(node, lambda: operator.reaches(pod1, 81))
    denied(node, lambda: operator.reaches(node.host, 81))
    denied(node, lambda: far.reaches(pod1, 80))  # the mesh is not exempt
    exchange_tcp(operator, pod1, 82)  # not its business


def test_untracked_policy_sees_every_packet_and_leaves_no_connection(node, operator, pod1):
    protect(node, host_endpoint() + policy(
        "doNotTrack: true, applyOnForward: true, types: [Ingress, Egress], "
        "ingress: [{action: Allow, protocol: UDP, destination: {ports: [5000]}}, "
        "{action: Deny, protocol: UDP, destination: {ports: [5001]}}], "
        "egress: [{action: Allow, protocol: UDP, source: {ports: [5000]}}]"))
    node.start()
    for _ in range(3):
        exchange_udp(operator, node.host, 5000)
    assert not [c for c in node.query("get", "connections") if "5000" in str(c)]
    before = node.drops().get("policy_deny_ingress", 0)
    with operator.udp() as sender:
        sender.sendto(b"x", (node.address, 5001))
        sender.sendto(b"x", (pod1.address, 5001))
    wait_until(lambda: node.drops().get("policy_deny_ingress", 0) == before + 2, node.drops)
    exchange_tcp(operator, node.host, 22)  # failsafes, and what answers them


def test_untracked_policy_may_cut_connections_that_live(node, operator):
    with connected(operator, node.host, 8080) as web:
        node.start()
        protect(node, host_endpoint(more=OPEN))
        assert carries(*web)
        protect(node, host_endpoint(more=OPEN) + policy(
            "doNotTrack: true, applyOnForward: true, types: [Ingress], "
            "ingress: [{action: Deny, protocol: TCP, destination: {ports: [8080]}}]"))
        assert not carries(*web)
        node.remove("host.yaml")
        node.reload()
        assert carries(*reversed(web))


def test_pods_reach_their_node_only_if_felix_says_so(node, pod1):
    protect(node, host_endpoint("*", name="every") +
            felix("logSeverityScreen: Info").replace("Accept", "Drop"))
    node.start()
    denied(node, lambda: pod1.reaches(node.host, 10250), "policy_deny_egress")
    protect(node, host_endpoint("*", name="every") + felix("logSeverityScreen: Info"))
    exchange_tcp(pod1, node.host, 10250)


@pytest.mark.parametrize("on_exit", ["drop", "kernel"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_sluiced_leaves_the_node_connected(node, operator, pod1, number, on_exit):
    node.settings["path"]["onExit"] = on_exit
    before = footprint(node)
    protect(node, host_endpoint() + ALLOWS)
    with connected(operator, node.host, 22) as ssh, connected(node.host, operator, 5432) as database:
        for _ in range(2):
            node.start()
            denied(node, lambda: operator.reaches(node.host, 80))
            assert carries(*ssh) and carries(*database)
            node.check_balance()
            node.process.send_signal(number)
            node.process.wait(10)
            node.process = None
            assert carries(*ssh) and carries(*database)
            exchange_tcp(operator, node.host, 80)
            exchange_tcp(node.host, operator, 80)
        assert node.detach().returncode == 0
        assert carries(*ssh) and carries(*database)
    assert footprint(node) == before
    assert not hooked(node)


def take_macvlan(node):
    """The uplink is a macvlan, up0, which has generic XDP only; its addresses are to be given."""
    node.namespace.ip("addr", "flush", "dev", "ens10", "scope", "global")
    # Else ens10 may win the race to answer ARP for up0's address, and gets what is for up0.
    node.namespace.run("sysctl", "-qw", "net.ipv4.conf.ens10.arp_ignore=1")
    node.namespace.ip("link", "add", "up0", "link", "ens10", "type", "macvlan", "mode", "bridge")
    node.namespace.ip("addr", "add", f"{node.address}/24", "dev", "up0")
    node.namespace.ip("link", "set", "up0", "up")
    node.settings["uplink"]["interface"] = "up0"


def test_an_uplink_without_native_xdp_carries_the_node_too(node, operator, pod1):
    """Generic XDP sees what the workers hand in once more."""
    take_macvlan(node)
    with connected(operator, node.host, 22) as ssh:
        node.start()
        protect(node, host_endpoint("up0") + ALLOWS)
        assert "xdpgeneric" in node.namespace.ip("link", "show", "up0")
        assert carries(*ssh)
        exchange_tcp(operator, node.host, 8080)
        exchange_tcp(node.host, operator, 5432)
        denied(node, lambda: operator.reaches(node.host, 80))
        denied(node, lambda: node.host.reaches(operator, 80), "policy_deny_egress")
        node.remove("host.yaml")
        node.reload()
        assert carries(*ssh)
        exchange_tcp(operator, node.host, 80)


def test_sockets_bound_to_the_uplink_and_its_taps_see_the_node_s_traffic(node, operator):
    protect(node, host_endpoint() + ALLOWS)
    node.start()
    SO_BINDTODEVICE = 25
    with node.host.listen(8080) as listener:
        listener.setsockopt(1, SO_BINDTODEVICE, b"ens10\0")
        with operator.connect(node.host, 8080) as near:
            there, _ = listener.accept()
            with there:
                assert carries(near, there)


def test_multicast_and_broadcast_stay_with_the_kernel(node, operator):
    """DHCP and VRRP, say: Calico would police them, sluice leaves them alone."""
    protect(node, host_endpoint() + policy("types: [Ingress, Egress]"))
    node.start()
    with node.namespace.socket(2, 2) as receiver, operator.namespace.socket(2, 2) as sender:
        receiver.bind(("", 6700))
        receiver.settimeout(5)
        sender.setsockopt(1, 6, 1)  # SO_BROADCAST
        sender.setsockopt(1, 25, b"ens10\0")
        sender.sendto(b"discover", ("255.255.255.255", 6700))
        assert receiver.recv(100) == b"discover"
