# SPDX-License-Identifier: Apache-2.0
"""ICMP errors that sluice makes, and those it lets through."""
import errno
import os
import socket

import pytest
from scapy.layers.inet import ICMP, IP

from cluster import connect, exchange_tcp, transfer
from namespace import checksums_are_right

IP_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 2


def errors(capture, kind, code):
    return capture.wait_for(lambda p: ICMP in p and (p[ICMP].type, p[ICMP].code) == (kind, code),
                            f"no ICMP {kind}/{code}")


def told_of_a_transfer(pod, far):
    """The ICMP 3/4 that a pod gets while it sends 300 kB, all of which arrive."""
    with pod.capture() as at_pod:
        near, there = connect(pod, far, patience=10)
        with near, there:
            transfer(near, there, os.urandom(300_000))
        return errors(at_pod, 3, 4)


def test_tcp_learns_the_mtu_of_the_tunnel_and_completes(node, peer, pod1, far):
    # The other side offers segments for 1500 bytes, so that only path MTU discovery helps.
    peer.namespace.ip("link", "set", "tun0", "mtu", "1500")
    node.start()
    told = told_of_a_transfer(pod1, far)
    assert {p[ICMP].nexthopmtu for p in told} == {1480}
    assert {(p[IP].src, p[IP].dst) for p in told} == {(node.address, pod1.address)}
    assert "mtu 1480" in pod1.namespace.ip("route", "get", far.address)


def test_tcp_learns_the_mtu_of_a_narrow_network_between_the_nodes(cluster, node, peer, pod1, far):
    # The switch becomes a router in front of the peer, whose link takes 1300 bytes.
    wire = cluster.wire
    wire.ip("link", "set", peer.port, "nomaster")
    for command in ("addr add 192.168.100.1/24 dev switch", f"link set {peer.port} mtu 1300",
                    f"route add {peer.address}/32 dev {peer.port}"):
        wire.ip(*command.split())
    for setting in ("ip_forward=1", f"conf.{peer.port}.proxy_arp=1", "conf.switch.proxy_arp=1",
                    f"neigh.{peer.port}.proxy_delay=0", "neigh.switch.proxy_delay=0"):
        wire.run("sysctl", "-qw", "net.ipv4." + setting)
    peer.namespace.ip("link", "set", "ens10", "mtu", "1300")
    peer.namespace.ip("link", "set", "tun0", "mtu", "1500")
    node.start()
    told = told_of_a_transfer(pod1, far)
    # First the tunnel's own size, then what the router said, less the outer header.
    assert [p[ICMP].nexthopmtu for p in told][0] == 1480
    assert {p[ICMP].nexthopmtu for p in told} == {1480, 1280}
    assert "mtu 1280" in pod1.namespace.ip("route", "get", far.address)
    assert node.query("stats", "ports")["uplink"]["consumed"] >= 1


def test_udp_with_df_is_told_the_mtu_of_the_tunnel(node, peer, pod1, far):
    node.start()
    with pod1.udp() as datagrams, far.udp(53) as receiver:
        datagrams.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        datagrams.connect((far.address, 53))
        with pod1.capture() as at_pod1:
            datagrams.send(bytes(1472))
            assert errors(at_pod1, 3, 4)[0][ICMP].nexthopmtu == 1480
        # The kernel heard it: for this socket, and for the route.
        assert datagrams.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EMSGSIZE
        with pytest.raises(OSError, match="Message too long"):
            datagrams.send(bytes(1472))
        datagrams.send(bytes(1452))
        assert len(receiver.recv(2000)) == 1452
    assert node.drops() == {"mtu_exceeded": 1}


def test_a_packet_whose_ttl_ends_is_answered_like_by_a_router(node, peer, pod1, nginx1, far):
    node.start()
    with pod1.capture() as at_pod1:
        for to in (nginx1, far):
            done = pod1.ping(to, "-t", "1")
            assert f"From {node.address} " in done.stdout and "Time to live exceeded" in done.stdout
        told = errors(at_pod1, 11, 0)
    assert len(told) == 6
    assert all(checksums_are_right(p) for p in told)
    assert node.drops()["ip4_ttl"] == 6
    # Two hops away it arrives: the node and the pod are all the way there is.
    assert pod1.ping(nginx1, "-t", "2").returncode == 0


def test_a_closed_port_of_the_peers_pod_is_told_to_the_pod(node, peer, pod1, far):
    node.start()
    with pod1.udp() as datagrams:
        datagrams.connect((far.address, 9))
        datagrams.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            datagrams.recv(1)
    exchange_tcp(pod1, far)
