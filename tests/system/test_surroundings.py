# SPDX-License-Identifier: Apache-2.0
"""What changes around sluice while it runs: links, addresses, neighbours, load."""
import os
import signal
import threading

from cluster import exchange_tcp, exchange_udp, transfer
from namespace import wait_until


def test_a_link_that_goes_down_and_comes_back_carries_again(node, peer, pod1, nginx1, far):
    node.start()
    exchange_tcp(pod1, far)
    node.namespace.ip("link", "set", "ens10", "down")
    wait_until(lambda: not pod1.pings(far), "the uplink is down")
    exchange_tcp(pod1, nginx1)
    node.namespace.ip("link", "set", "ens10", "up")
    wait_until(lambda: pod1.pings(far), "the uplink does not come back")
    node.namespace.ip("link", "set", nginx1.interface, "down")
    assert not pod1.pings(nginx1)
    assert " down " in node.ctl("get", "endpoints", nginx1.interface).stdout + " "
    node.namespace.ip("link", "set", nginx1.interface, "up")
    wait_until(lambda: pod1.pings(nginx1), "the pod does not come back")


def test_a_peer_whose_mac_address_changes_is_found_again(node, peer, pod1, far):
    node.start()
    assert pod1.pings(far)
    peer.namespace.ip("link", "set", "ens10", "address", "02:00:00:00:77:77")
    # Its kernel asks for the node from its new address; the node's kernel learns it by that.
    assert wait_until(lambda: far.pings(pod1), "the peer is lost")
    exchange_tcp(pod1, far)


def test_neighbours_that_the_kernel_forgets_are_asked_for_again(node, peer, pod1, far):
    node.start()
    assert pod1.pings(far)
    node.namespace.ip("neigh", "flush", "all")
    assert pod1.pings(far)
    exchange_udp(pod1, far)


def test_a_restarted_pod_with_another_mac_address_is_found_again(node, pod1, nginx1):
    node.start()
    exchange_tcp(pod1, nginx1)
    nginx1.namespace.ip("link", "set", "eth0", "address", "02:00:00:00:55:55")
    # The default route stays; only the pod's own address has changed.
    wait_until(lambda: nginx1.pings(pod1), "the pod is lost")
    exchange_tcp(pod1, nginx1)


def test_a_pod_made_again_while_sluiced_looks_away_is_served(node, pod1, nginx1):
    node.start()
    exchange_tcp(pod1, nginx1)
    node.process.send_signal(signal.SIGSTOP)
    try:
        node.namespace.ip("link", "del", nginx1.interface)
        nginx1.wire()
    finally:
        node.process.send_signal(signal.SIGCONT)
    # The node speaks first: a pod that only serves has not told its new MAC address.
    wait_until(lambda: node.host.pings(nginx1), "the pod is lost")
    exchange_tcp(pod1, nginx1)


def test_traffic_returns_every_buffer(cluster, node, peer, pod1, nginx1, far):
    node.start()
    exchange_tcp(pod1, nginx1)
    exchange_tcp(pod1, far)
    before = node.free_buffers()
    for _ in range(5):
        guest = cluster.pod(node, "guest", "10.244.153.230")
        node.write_config()
        node.reload()
        exchange_tcp(guest, pod1, size=3_000_000)
        exchange_tcp(guest, far, size=300_000)
        cluster.remove_pod(guest)
        node.write_config()
        node.reload()
    # A port's last burst is taken back when it sends the next.
    exchange_tcp(pod1, nginx1)
    exchange_tcp(pod1, far)
    node.check_buffers(before - 64)


def test_many_connections_at_once_all_carry_their_own_data(node, peer, pod1, nginx1, far):
    node.start()
    assert pod1.pings(far) and pod1.pings(nginx1)
    failures = []

    def one(client, server, port):
        try:
            exchange_tcp(client, server, port, 20_000)
        except Exception as failure:
            failures.append((client.address, server.address, port, failure))
    threads = [threading.Thread(target=one, args=(client, server, 1000 + i))
               for i in range(40)
               for client, server in ((pod1, nginx1), (far, pod1), (nginx1, far))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(node.query("get", "connections")) >= len(threads)


def test_a_bulk_transfer_arrives_whole_while_counters_are_read(node, peer, pod1, nginx1):
    node.start()
    seen, finished = [], threading.Event()

    def read():
        while not finished.is_set():
            node.query("get", "connections")
            seen.append(node.query("stats", "ports")[pod1.interface]["rx_bytes"])
    reader = threading.Thread(target=read)
    with nginx1.listen(80) as listener, pod1.connect(nginx1, 80) as near:
        there, _ = listener.accept()
        with there:
            there.settimeout(10)
            reader.start()
            try:
                transfer(near, there, os.urandom(20_000_000))
            finally:
                finished.set()
                reader.join()
    assert len(seen) > 2 and seen == sorted(seen)
    carried = node.query("get", "connections", pod1.address)
    assert max(row["bytes"] for row in carried) > 20_000_000
