# SPDX-License-Identifier: Apache-2.0
"""TCP of real kernels over the path: nothing they send is refused, what strangers send is."""
import os
import random
import socket
import time

import pytest
from scapy.layers.inet import IP, TCP

from cluster import Cluster, connect, transfer
from namespace import wait_until

REFUSALS = ("ct_window", "ct_rst", "ct_invalid", "ct_midflow")


def refusals(node):
    return {reason: n for reason, n in node.drops().items() if reason in REFUSALS}


def send_as(pod, to, near, flags, seq, ack=0):
    """A segment of the connection `near`, made by hand, as its pod would send it."""
    pod.namespace.send_raw(IP(src=pod.address, dst=to.address) / TCP(
        sport=near.getsockname()[1], dport=near.getpeername()[1], flags=flags, seq=seq % 2**32,
        ack=ack % 2**32))


def numbers(capture, near):
    """The next numbers of the pod and of the other side, by the last segment that came."""
    port = near.getsockname()[1]
    last = capture.wait_for(lambda p: TCP in p and p[TCP].dport == port, "a segment")[-1]
    length = last[IP].len - 20 - 4 * last[TCP].dataofs
    return last[TCP].ack, last[TCP].seq + length


def test_transfers_through_loss_and_reordering_lose_nothing_to_the_window(cluster, node, pod1):
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(2**32))
    print("SEED", seed)
    far = cluster.peer(node, seed=seed).pod(Cluster.NGINX2)
    node.start()
    data = os.urandom(1_000_000)
    for client, server, port in ((pod1, far, 80), (far, pod1, 81)):
        near, other = connect(client, server, port)
        with near, other:
            for each in (near, other):
                each.settimeout(30)
            transfer(near, other, data)
            transfer(other, near, data)
    assert not refusals(node)


@pytest.fixture
def ends(node, pod1, nginx1):
    """Both ends of a connection that has carried a question; nothing of it is refused."""
    node.start()
    near, far = connect(pod1, nginx1)
    with near, far:
        transfer(near, far, b"question")
        yield near, far
    assert not refusals(node)


def test_one_side_may_go_on_when_the_other_has_ended(ends):
    near, far = ends
    near.shutdown(socket.SHUT_WR)
    assert far.recv(1) == b""
    transfer(far, near, os.urandom(300_000))


def test_keep_alives_pass_on_an_idle_connection(ends, nginx1):
    near, far = ends
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1),
                          (socket.TCP_KEEPCNT, 3)):
        near.setsockopt(socket.IPPROTO_TCP, option, value)
    with nginx1.capture() as at_server:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        at_server.wait_for(lambda p: TCP in p and len(at_server.packets()) >= 2, "a probe")
    time.sleep(1)
    transfer(far, near, b"answer")


def test_a_strangers_reset_and_data_do_not_reach_the_server(node, pod1, nginx1):
    node.start()
    with pod1.capture() as at_client:
        near, far = connect(pod1, nginx1)
        transfer(far, near, b"greeting")
        own, others = numbers(at_client, near)
    with near, far, nginx1.capture() as at_server:
        for count, (reason, segment) in enumerate((
                ("ct_rst", ("R", own - 1)), ("ct_rst", ("R", own - 2**30)),
                ("ct_window", ("R", own + 2**30)),
                ("ct_window", ("A", own + 2**30, others)),
                ("ct_window", ("A", own, others + 2**30)))):
            before = node.drops().get(reason, 0)
            send_as(pod1, nginx1, near, *segment)
            wait_until(lambda: node.drops().get(reason, 0) == before + 1,
                       lambda: f"{count}: {node.drops()}")
        assert not [p for p in at_server.packets() if TCP in p]
        transfer(near, far, b"all is well")


def test_an_inexact_reset_meets_a_challenge_and_the_connection_lives(node, pod1, nginx1):
    node.start()
    with pod1.capture() as at_client:
        near, far = connect(pod1, nginx1)
        transfer(far, near, b"greeting")
        own, _ = numbers(at_client, near)
        before = len(at_client.packets())
        send_as(pod1, nginx1, near, "R", own + 100)
        wait_until(lambda: len(at_client.packets()) > before, "no challenge")
    with near, far:
        transfer(near, far, b"all is well")
        transfer(far, near, b"indeed")
    assert not refusals(node)


def test_an_exact_reset_ends_the_connection(node, pod1, nginx1):
    node.start()
    near, far = connect(pod1, nginx1)
    transfer(near, far, b"question")
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    far.close()  # with a RST
    with near:
        try:
            assert near.recv(1) == b"", "the reset does not arrive"
        except ConnectionResetError:
            pass
    wait_until(lambda: [c["state"] for c in node.query("get", "connections")] == ["close"],
               lambda: node.query("get", "connections"))
    assert not refusals(node)
