# SPDX-License-Identifier: Apache-2.0
"""Policies are swapped under full traffic: every swap is applied, no packet is lost to one."""
import subprocess

import pytest

from namespace import wait_until
from test_policy import CALICO, DENY_ALL

RING_OVERFLOW = {"rx_missed"}  # the receiver is slower than the sender, whatever is swapped


def iperf(client, server):
    """iperf3's client, sending until it is ended."""
    server.namespace.start("iperf3", "-s", "-1", "-B", server.address, stdout=subprocess.DEVNULL)
    wait_until(lambda: ":5201" in server.namespace.run("ss", "-ltn").stdout, "no iperf3 server")
    return client.namespace.start("iperf3", "-c", server.address, "-B", client.address,
                                  "-t", "3600", stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("on_change, cores", [("keep", [0]), ("recheck", [0, 1])],
                         ids=["keep-one_worker", "recheck-two_workers"])
def test_iperf3_across_nodes_survives_100_policy_swaps_without_a_loss(request, node, node2, pod1,
                                                                      nginx2, on_change,
                                                                      cores):
    swaps = 1000 if request.config.getoption("--long") else 100
    nodes = (node, node2)
    for each in nodes:
        each.write("kubernetes.yaml", DENY_ALL)
        each.write("calico.yaml", CALICO.replace("[80]", "[5201]"))
        each.settings["connections"]["onPolicyChange"] = on_change
        each.settings["workers"]["cores"] = cores
        each.start()
    client = iperf(pod1, nginx2)

    def sent():
        return node.query("stats", "ports")["uplink"]["tx_packets"]
    wait_until(lambda: sent() > 1000, "iperf3 sends nothing")
    before = [each.drops() for each in nodes]
    generations = [each.generation() for each in nodes]
    for swap in range(swaps):
        # Another rule order, other ports: the program that judges is never the same twice.
        for each in nodes:
            each.write("calico.yaml", CALICO.replace("[80]", f"[{6000 + swap}, 5201]"))
            each.reload()
    assert [each.generation() - was for each, was in zip(nodes, generations)] == [swaps] * 2
    swapped = sent()
    wait_until(lambda: sent() > swapped + 1000, "iperf3 sends nothing any more")
    assert client.poll() is None, "iperf3 has ended"
    # Before its end: of what it sends and resets then, a node drops what is stale.
    for each, was in zip(nodes, before):
        lost = {reason: n - was.get(reason, 0) for reason, n in each.drops().items()
                if n != was.get(reason, 0) and reason not in RING_OVERFLOW}
        assert not lost
    client.terminate()
    client.wait()
