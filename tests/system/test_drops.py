# SPDX-License-Identifier: Apache-2.0
"""What is dropped, as it happens: sluicectl drops --watch."""
import contextlib
import json
import signal
import subprocess

import pytest

from cluster import SLUICECTL
from namespace import wait_until

DENY_53 = """apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: no-dns, namespace: default}
spec:
  selector: app == 'nginx'
  types: [Ingress]
  ingress:
    - {action: Allow, protocol: TCP}
    - {action: Deny, protocol: UDP, destination: {ports: [53]}}
"""


@contextlib.contextmanager
def watching(node, *arguments):
    """sluicectl drops --watch, and a function that gives the lines it has printed."""
    printed = node.directory / "drops"
    with open(printed, "w") as out:
        process = subprocess.Popen([SLUICECTL, "-s", str(node.socket), "drops", "--watch",
                                    *arguments], stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process, lambda: printed.read_text().rpartition("\n")[0].splitlines()
    finally:
        process.kill()
        process.wait()


def send(pod, to, port):
    with pod.udp() as datagrams:
        datagrams.sendto(b"x" * 20, (to.address, port))


def first_line(lines, do):
    """What it prints once it watches: `do()` until then."""
    def shown():
        do()
        return lines()
    return wait_until(shown, "nothing is shown")[0]


@pytest.mark.parametrize("cores", [[0], [0, 1]], ids=["one_worker", "two_workers"])
def test_a_denied_packet_is_shown_with_its_rule_and_header(node, pod1, nginx1, cores):
    node.settings["workers"]["cores"] = cores
    node.write("policy.yaml", DENY_53)
    node.start()
    with watching(node, "-o", "json") as (process, lines):
        drop = json.loads(first_line(lines, lambda: send(pod1, nginx1, 53)))
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0, "an interrupt is how it ends"
    assert drop["reason"] == "policy_deny_ingress"
    assert drop["port"] == pod1.interface
    assert drop["layer"] == "outer"
    assert drop["policy"] == {"kind": "NetworkPolicy", "namespace": "default", "name": "no-dns"}
    assert (drop["tier"], drop["rule"], drop["direction"]) == ("default", 1, "ingress")
    packet = drop["packet"]
    assert (packet["proto"], packet["src"], packet["dst"], packet["dport"]) == (
        "udp", pod1.address, nginx1.address, 53)
    assert packet["length"] == drop["length"] - 14 == 48


def test_a_packet_of_a_tunnel_is_shown_with_what_is_inside(node, peer, nginx1, far):
    node.write("policy.yaml", DENY_53)
    node.start()
    with watching(node, "-o", "json") as (_, lines):
        drop = json.loads(first_line(lines, lambda: send(far, nginx1, 53)))
    assert (drop["layer"], drop["tunnel"]) == ("inner", peer.address)
    assert drop["port"] == "uplink"
    assert drop["packet"]["src"] == far.address


def test_reason_and_port_choose(node, pod1, nginx1):
    node.write("policy.yaml", DENY_53)
    node.start()

    def drop_two():
        nginx1.namespace.run("ping", "-n", "-c", "1", "-W", "0.02", "10.244.153.254", check=False)
        send(pod1, nginx1, 53)
    for option, value, mine in (("--reason", "rt_blackhole", nginx1), ("--port", pod1.interface, pod1)):
        with watching(node, "-o", "json", option, value) as (process, lines):
            for _ in range(3):
                first_line(lines, drop_two)
            process.terminate()
            assert process.wait(5) == 0
            assert {json.loads(line)["port"] for line in lines()} == {mine.interface}


def test_of_a_flood_a_hundred_a_second_are_shown_and_the_rest_is_told(node, pod1, nginx1):
    node.write("policy.yaml", DENY_53)
    node.start()
    with watching(node, "-o", "json", "--reason", "policy_deny_ingress") as (_, lines):
        first_line(lines, lambda: send(pod1, nginx1, 53))
        with pod1.udp() as datagrams:
            for _ in range(5000):
                datagrams.sendto(b"x", (nginx1.address, 53))
        arrived = node.drops()["policy_deny_ingress"]  # a busy machine's ring lets others go

        def told():
            send(pod1, nginx1, 53)
            return sum(json.loads(line)["before"] for line in lines()) > arrived / 2
        wait_until(told, "what was not sampled is told")


def test_it_ends_with_three_when_the_daemon_goes(node, pod1):
    node.start()
    with watching(node) as (process, lines):
        first_line(lines, lambda: pod1.namespace.run("ping", "-n", "-c", "1", "-W", "0.02",
                                                     "10.244.153.254", check=False))
        assert node.stop() == 0
        assert process.wait(5) == 3
        assert any("sluicectl: " in line for line in lines())
