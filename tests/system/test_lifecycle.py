# SPDX-License-Identifier: Apache-2.0
"""What sluiced costs when idle, and what is left when it has ended."""
import json
import os
import re
import signal
import time

import pytest

from cluster import Host, exchange_tcp


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


def end(node, number):
    node.check_balance()
    node.process.send_signal(number)
    assert node.process.wait(10) == (0 if number == signal.SIGTERM else -number)
    node.process = None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_on_exit_drop_keeps_pods_closed_and_the_rest_open(node, peer, pod1, nginx1, kernel_routes,
                                                          number):
    before = footprint(node)
    operator = Host(peer.namespace, peer.address)
    node.settings["path"]["onExit"] = "drop"
    node.start()
    exchange_tcp(pod1, nginx1)
    end(node, number)
    assert not pod1.reaches(nginx1, 80) and not nginx1.pings(pod1)
    exchange_tcp(operator, node.host, 22)
    node.start()  # takes the programs over
    exchange_tcp(pod1, nginx1)
    assert node.detach().returncode == 4, "a daemon runs"
    end(node, number)
    assert not pod1.reaches(nginx1, 80)
    done = node.detach()
    assert done.returncode == 0, done.stderr
    released = {pod1.interface, nginx1.interface, "ens10"}
    if number == signal.SIGKILL:
        released.add("sluice0p")
    assert set(re.findall(r"(\S+) is the kernel's again", done.stdout)) == released
    assert footprint(node) == before
    exchange_tcp(pod1, nginx1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_on_exit_kernel_gives_pods_back_to_the_kernel(node, pod1, nginx1, kernel_routes, number):
    node.start()
    exchange_tcp(pod1, nginx1)
    end(node, number)
    if number == signal.SIGKILL:  # nobody was there to take sluice0 and its routes away
        assert node.detach().returncode == 0
    exchange_tcp(pod1, nginx1)


@pytest.fixture
def huge_pages():
    """300 MiB of them, which is more than the buffers of a small node need."""
    path, wanted = "/proc/sys/vm/nr_hugepages", 150
    with open(path, "r+") as f:
        before = int(f.read())
        f.seek(0)
        f.write(str(before + wanted))
    yield int(open(path).read()) - before == wanted
    with open(path, "w") as f:
        f.write(str(before))


def test_huge_pages_are_used_when_there_and_not_needed(node, pod1, nginx1, huge_pages):
    if not huge_pages:
        pytest.skip("the kernel has no 300 MiB of huge pages free")
    node.start()
    assert node.query("status")["huge_pages"]
    exchange_tcp(pod1, nginx1)
    assert node.stop() == 0
    with open("/proc/sys/vm/nr_hugepages", "w") as f:
        f.write("0")
    node.start()
    assert not node.query("status")["huge_pages"]
    exchange_tcp(pod1, nginx1)


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
