# SPDX-License-Identifier: Apache-2.0
"""What sluiced costs when idle, and what is left when it has ended."""
import json
import os
import signal
import time

from cluster import exchange_tcp


def footprint(node):
    """What sluiced adds to the kernel of its node."""
    links = json.loads(node.namespace.ip("-j", "-d", "link", "show"))
    return {
        "links": sorted(link["ifname"] for link in links),
        "xdp": sorted(link["ifname"] for link in links if "xdp" in link),
        "rules": node.namespace.ip("rule"),
        "routes": node.namespace.ip("route", "show", "table", "all", "proto", "186"),
        "addresses": node.namespace.ip("-4", "-br", "addr"),
    }


def check_gone(node, before):
    assert footprint(node) == before
    assert not node.socket.exists()


def test_nothing_is_left_after_term(node, pod1, nginx1, peer, far):
    before = footprint(node)
    node.start()
    during = footprint(node)
    assert during["xdp"] == sorted([nginx1.interface, pod1.interface, "ens10", "sluice0p"])
    assert "sluice0" in during["links"] and "8600" in during["rules"]
    assert f"{pod1.address} dev sluice0" in during["routes"]
    exchange_tcp(pod1, nginx1)
    exchange_tcp(pod1, far)
    assert node.stop() == 0
    check_gone(node, before)


def test_it_starts_again_after_a_kill_and_leaves_nothing_then(node, pod1, nginx1):
    before = footprint(node)
    node.start()
    node.process.send_signal(signal.SIGKILL)
    assert node.process.wait(10) == -signal.SIGKILL
    assert footprint(node)["xdp"] == [], "the programs are gone with the process"
    assert "sluice0" in footprint(node)["links"]
    node.start()
    exchange_tcp(pod1, nginx1)
    assert node.stop() == 0
    check_gone(node, before)


def test_it_ends_on_interrupt_too(node, pod1):
    before = footprint(node)
    node.start()
    node.check_balance()
    node.process.send_signal(signal.SIGINT)
    assert node.process.wait(10) == 0
    node.process = None
    check_gone(node, before)


def test_an_idle_adaptive_daemon_needs_next_to_no_cpu(node, peer, pod1, nginx1, far):
    node.start()
    exchange_tcp(pod1, far)

    def cpu_seconds():
        with open(f"/proc/{node.process.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    time.sleep(0.5)
    before, since = cpu_seconds(), time.monotonic()
    time.sleep(5)
    share = (cpu_seconds() - before) / (time.monotonic() - since)
    assert share < 0.05
