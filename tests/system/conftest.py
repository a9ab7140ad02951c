# SPDX-License-Identifier: Apache-2.0
"""What the system tests stand on: a cluster of namespaces for each test."""
import os
import signal

import pytest

from cluster import Cluster
from namespace import remove_leftovers


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", default=os.environ.get("SLUICE_LONG") == "1",
                     help="long counts in full (also SLUICE_LONG=1)")


def pytest_configure():
    if os.geteuid() != 0:
        pytest.exit("system tests make network namespaces: run as root", 77)
    os.umask(0o022)  # sluiced refuses files that others may write
    # TERM, too, takes the namespaces down.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    remove_leftovers()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.failed and "cluster" in item.funcargs:
        report.sections.append(("sluiced", item.funcargs["cluster"].report()))


@pytest.fixture(autouse=True)
def watchdog(request):
    """Nothing waits for ever: a test that hangs fails, and is cleaned up after."""
    def bark(*_):
        raise AssertionError("the test hangs")
    signal.signal(signal.SIGALRM, bark)
    signal.alarm(600 if request.config.getoption("--long") else 60)
    yield
    signal.alarm(0)


@pytest.fixture
def cluster():
    made = Cluster()
    yield made
    made.close()


@pytest.fixture
def node(cluster):
    """node111, not started."""
    return cluster.node()


@pytest.fixture
def peer(cluster, node):
    """node112, an IPIP node without sluice."""
    return cluster.peer(node)


@pytest.fixture
def pod1(cluster, node):
    return cluster.pod(node, "pod1", Cluster.POD1, role="pod1")


@pytest.fixture
def nginx1(cluster, node):
    return cluster.pod(node, "nginx1", Cluster.NGINX1, app="nginx")


@pytest.fixture
def far(peer):
    """A pod of the peer's."""
    return peer.pod(Cluster.NGINX2)


@pytest.fixture
def node2(cluster):
    """node112 with sluice, not started."""
    return cluster.node(112, "10.244.146.192/26")


@pytest.fixture
def nginx2(cluster, node2):
    return cluster.pod(node2, "nginx2", Cluster.NGINX2, app="nginx")


@pytest.fixture
def kernel_routes(node, pod1, nginx1):
    """The node's kernel would forward between the pods if it got a frame of theirs."""
    with node.namespace.entered():
        for path in ("ip_forward", f"conf/{pod1.interface}/proxy_arp",
                     f"conf/{nginx1.interface}/proxy_arp"):
            with open(f"/proc/sys/net/ipv4/{path}", "w") as f:
                f.write("1")
    for pod in (pod1, nginx1):
        node.namespace.ip("route", "add", pod.address, "dev", pod.interface)
