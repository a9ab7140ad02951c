# SPDX-License-Identifier: Apache-2.0
"""An uplink that the kernel has not: DPDK's own drivers, and the node's kernel behind sluice0."""
import pytest
from scapy.layers.inet import IP, TCP

from cluster import Host, exchange_tcp, exchange_udp
from namespace import checksums_are_right, wait_until
from test_lifecycle import footprint


AF_XDP = "net_af_xdp0,iface=ens10"
TAP = "net_tap0,iface=uplink0"
# The last spreads its flows over two queues.
DEVICES = pytest.mark.parametrize("device, cores", [(AF_XDP, [0]), (TAP, [0]), (TAP, [0, 1])],
                                  ids=["net_af_xdp", "net_tap", "net_tap_two_workers"])


def give_device(node, device, cores=(0,)):
    """The uplink is the device's; the kernel has no address there, or no interface at all."""
    node.settings["workers"]["cores"] = list(cores)
    if device == AF_XDP:
        node.namespace.ip("addr", "flush", "dev", "ens10")
    else:
        node.namespace.ip("link", "del", "ens10")
    node.settings["uplink"] = {"device": device, "addresses": [f"{node.address}/24"]}


def start(node):
    node.start()
    if node.settings["uplink"]["device"] == TAP:
        # The kernel's end of it stands for the cable, into the switch.
        wire = node.cluster.wire
        node.namespace.ip("link", "set", "uplink0", "netns", wire.name)
        wire.ip("link", "set", "uplink0", "address", "02:00:00:00:00:99")
        wire.ip("link", "set", "uplink0", "master", "switch", "up")
        node.port = "uplink0"


@DEVICES
def test_pod_and_peer_reach_each_other_through_a_dpdk_device(node, peer, pod1, nginx1, far, device,
                                                                  cores):
    give_device(node, device, cores)
    start(node)
    with node.capture() as wire:
        assert pod1.pings(far)
        assert far.pings(pod1)
        exchange_tcp(pod1, far)
        exchange_tcp(far, pod1)
        exchange_udp(pod1, far)
        sent = [p for p in wire.packets() if IP in p and p[IP].proto == 4 and TCP in p]
    assert sent and all(checksums_are_right(p) for p in sent)
    exchange_tcp(pod1, nginx1)


@DEVICES
def test_the_nodes_kernel_uses_the_device_through_sluice0(node, peer, pod1, device, cores):
    give_device(node, device, cores)
    start(node)
    operator = Host(peer.namespace, peer.address)
    exchange_tcp(operator, node.host, 22)
    exchange_tcp(node.host, operator, 443)
    exchange_tcp(pod1, node.host, 10250)
    assert operator.pings(node.host)


@DEVICES
def test_nothing_of_the_device_is_left(node, pod1, device, cores):
    give_device(node, device, cores)
    before = footprint(node)
    start(node)
    assert node.stop() == 0
    assert footprint(node) == before
    assert "uplink0" not in node.cluster.wire.ip("link")


def test_two_sluiced_exchange_over_memif(cluster, node, node2, pod1, nginx2):
    socket = cluster.directory / "memif.sock"
    for each, role, mac in ((node, "server", "02:00:00:00:01:11"),
                            (node2, "client", "02:00:00:00:01:12")):
        give_device(each, f"net_memif0,role={role},socket={socket},socket-abstract=no,mac={mac}")
        each.start()
    wait_until(lambda: pod1.ping(nginx2).returncode == 0, "the two do not find each other")
    assert pod1.pings(nginx2) and nginx2.pings(pod1)
    exchange_tcp(pod1, nginx2)
    exchange_tcp(nginx2, pod1)


@pytest.mark.parametrize("device", ["net_af_xdp0,iface=ens99", "net_nonsense0", "0000:99:00.0"])
def test_a_device_that_does_not_exist_is_named(node, pod1, device):
    give_device(node, device)
    node.write_config()
    before = footprint(node)
    done = node.run_to_end()
    assert done.returncode == 4, done.stderr
    assert device.split(",")[0] in done.stderr
    assert footprint(node) == before
