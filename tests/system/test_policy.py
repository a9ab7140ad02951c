# SPDX-License-Identifier: Apache-2.0
"""Policies decide who reaches whom, and are changed by SIGHUP under way."""
import json
import shutil
import socket

import pytest

from cluster import exchange_tcp
from namespace import wait_until

CALICO = """apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: allow-pod1, namespace: default}
spec:
  order: 10
  selector: app == 'nginx'
  types: [Ingress]
  ingress:
    - action: Allow
      protocol: TCP
      source: {selector: role == 'pod1'}
      destination: {ports: [80]}
"""
DENY_ALL = """apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-all, namespace: default}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""


def denied(node, what, reason="policy_deny_ingress"):
    """`what()` is false, and it is policy that says so."""
    before = node.drops().get(reason, 0)
    assert not what()
    assert node.drops().get(reason, 0) > before


@pytest.mark.parametrize("cores", [[0], [0, 1]], ids=["one_worker", "two_workers"])
def test_calico_allow_and_kubernetes_deny_all_decide_with_counters(node, node2, pod1, nginx1,
                                                                   nginx2, cores):
    for each in (node, node2):
        each.settings["workers"]["cores"] = cores
        each.write("calico.yaml", CALICO)
        each.write("kubernetes.yaml", DENY_ALL)
        each.start()
    exchange_tcp(pod1, nginx1, 80)
    exchange_tcp(pod1, nginx2, 80)
    for each in (node, node2):
        allowed = each.rule("allow-pod1")
        assert (allowed["action"], allowed["connections"]) == ("allow", 1)
        # Whole traffic is credited by the sweep, within about a second.
        wait_until(lambda: each.rule("allow-pod1")["bytes"] > 200_000, each.rule("allow-pod1"))
    denied(node, lambda: pod1.reaches(nginx1, 81))
    denied(node, lambda: nginx2.reaches(nginx1, 80))
    denied(node, lambda: nginx1.pings(pod1))
    denied(node2, lambda: nginx1.reaches(nginx2, 80))
    denied(node2, lambda: pod1.pings(nginx2))
    # Each denial is counted at the rule that decided: the tier's default.
    for each in (node, node2):
        defaults = [row for row in each.query("stats", "rules")
                    if row["direction"] == "ingress" and row["tier"] == "default"
                    and row["rule"] == -1]
        assert sum(row["packets"] for row in defaults) == each.drops()["policy_deny_ingress"]
        assert all(row["action"] == "deny" for row in defaults)


def test_egress_policy_of_the_source_denies_with_its_own_reason(node, pod1, nginx1):
    node.write("egress.yaml", """apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: no-web}
spec:
  selector: role == 'pod1'
  types: [Egress]
  egress:
    - {action: Deny, protocol: TCP, destination: {ports: [80]}}
    - {action: Allow}
""")
    node.start()
    denied(node, lambda: pod1.reaches(nginx1, 80), "policy_deny_egress")
    assert node.rule("no-web", "egress", 0)["action"] == "deny"
    assert node.rule("no-web", "egress", 0)["packets"] > 0
    exchange_tcp(pod1, nginx1, 443)
    assert node.rule("no-web", "egress", 1)["connections"] == 1


def test_sighup_denies_new_connections_and_allows_them_again(node, peer, pod1, nginx1, far):
    node.start()
    exchange_tcp(pod1, nginx1)
    exchange_tcp(far, pod1)
    node.write("kubernetes.yaml", DENY_ALL)
    node.reload()
    denied(node, lambda: pod1.reaches(nginx1, 80))
    denied(node, lambda: far.reaches(pod1, 80))
    node.remove("kubernetes.yaml")
    node.reload()
    exchange_tcp(pod1, nginx1)
    exchange_tcp(far, pod1)


def carries(near, far):
    """A byte each way, within a second."""
    try:
        for sender, receiver in ((near, far), (far, near)):
            receiver.settimeout(1)
            sender.sendall(b"x")
            if receiver.recv(1) != b"x":
                return False
        return True
    except socket.timeout:
        return False


@pytest.mark.parametrize("remote", [False, True], ids=["local", "tunnel"])
def test_an_established_connection_outlives_a_denying_policy_by_default(
        node, peer, pod1, nginx1, far, remote):
    server = far if remote else nginx1
    node.start()
    with pod1.listen(80) as listener, server.connect(pod1, 80) as near:
        there, _ = listener.accept()
        with there:
            assert carries(near, there)
            node.write("kubernetes.yaml", DENY_ALL)
            node.reload()
            assert carries(near, there) and carries(there, near)
            denied(node, lambda: server.reaches(pod1, 81))


def test_diff_counts_the_live_connections_that_a_policy_would_cut(node, pod1, nginx1):
    node.start()
    old = node.directory / "policy.d"
    new = node.directory / "new.d"
    shutil.copytree(old, new)
    (new / "kubernetes.yaml").write_text(DENY_ALL)
    with nginx1.listen(80) as listener, pod1.connect(nginx1, 80) as near:
        there, _ = listener.accept()
        with there:
            assert carries(near, there)
            done = node.ctl("-o", "json", "diff", "-f", str(old), "-f", str(new), "--live")
            assert done.returncode == 1, done.stderr
            live = json.loads(done.stdout)["live"]
            assert live["cut"] == 1 and live["listed"] == live["connections"]
            done = node.ctl("-o", "json", "diff", "-f", str(old), "-f", str(old), "--live")
            assert done.returncode == 0 and json.loads(done.stdout)["live"]["cut"] == 0


@pytest.mark.parametrize("policy", [
    pytest.param(DENY_ALL, id="denied_at_both_ends"),
    pytest.param(CALICO.replace("[80]", "[443]"), id="denied_at_the_server"),
])
@pytest.mark.parametrize("server_speaks", [False, True], ids=["client_speaks", "server_speaks"])
def test_recheck_cuts_an_established_connection_that_policy_now_denies(node, pod1, nginx1, policy,
                                                                       server_speaks):
    node.settings["connections"]["onPolicyChange"] = "recheck"
    node.start()
    with nginx1.listen(80) as listener, pod1.connect(nginx1, 80) as near:
        there, _ = listener.accept()
        with there:
            assert carries(near, there)
            node.write("policy.yaml", CALICO)
            node.reload()
            assert carries(near, there) and carries(there, near)
            node.write("policy.yaml", policy)
            node.reload()
            assert not carries(*((there, near) if server_speaks else (near, there)))
            # Nor does what either side sends again bring it back.
            assert not carries(near, there)
            assert not carries(there, near)
            assert node.drops()["policy_recheck"] > 0
