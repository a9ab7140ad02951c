# SPDX-License-Identifier: Apache-2.0
"""Policies are swapped under full traffic: every swap is applied, no packet is lost to one."""
import json
import subprocess

import pytest

from namespace import wait_until
from test_policy import CALICO, DENY_ALL

SECONDS_PER_SWAP = 0.1
RING_OVERFLOW = {"rx_missed"}  # the receiver is slower than the sender, whatever is swapped


def iperf(client, server, seconds):
    """iperf3's client, under way."""
    server.namespace.start("iperf3", "-s", "-1", "-B", server.address, stdout=subprocess.DEVNULL)
    wait_until(lambda: ":5201" in server.namespace.run("ss", "-ltn").stdout, "no iperf3 server")
    return client.namespace.start("iperf3", "-c", server.address, "-B", client.address, "-J",
                                  "-t", str(seconds), stdout=subprocess.PIPE, text=True)


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
    client = iperf(pod1, nginx2, swaps * SECONDS_PER_SWAP + 5)
    wait_until(lambda: node.query("stats", "ports")["uplink"]["tx_packets"] > 1000,
               "iperf3 sends nothing")
    before = [each.drops() for each in nodes]
    generations = [each.generation() for each in nodes]
    for swap in range(swaps):
        # Another rule order, other ports: the program that judges is never the same twice.
        for each in nodes:
            each.write("calico.yaml", CALICO.replace("[80]", f"[{6000 + swap}, 5201]"))
            each.reload()
    assert [each.generation() - was for each, was in zip(nodes, generations)] == [swaps] * 2
    after = [each.drops() for each in nodes]
    # Before the end: by iperf3's last FIN and RST a node drops what is stale, whoever swaps.
    assert client.poll() is None, "iperf3 ended before the last swap"
    out = client.communicate(timeout=swaps * SECONDS_PER_SWAP + 60)[0]
    assert client.returncode == 0, out
    assert json.loads(out)["end"]["sum_received"]["bytes"] > 0
    for drops, was in zip(after, before):
        lost = {reason: n - was.get(reason, 0) for reason, n in drops.items()
                if n != was.get(reason, 0) and reason not in RING_OVERFLOW}
        assert not lost
