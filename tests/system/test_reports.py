# SPDX-License-Identifier: Apache-2.0
"""What falls out of the compiled policies: programs, rules that nobody uses, reload times."""
import json
import time

import pytest

from cluster import exchange_tcp
from namespace import wait_until
from test_policy import CALICO, DENY_ALL


def test_programs_name_their_endpoints_and_stay_under_the_cap(node, pod1, nginx1):
    node.write("calico.yaml", CALICO)
    node.settings["policy"] = {"memory": "128Mi"}
    node.start()
    listed = node.query("get", "programs")
    assert listed["memory"]["cap"] == 128 << 20
    assert 0 < listed["memory"]["programs"] < listed["memory"]["total"] <= 128 << 20
    web = [p for p in listed["programs"]
           if "default/nginx1" in p["endpoints"] and p["direction"] == "ingress"]
    assert len(web) == 1 and web[0]["form"] == "table" and web[0]["rules"] == 2, web
    assert web[0]["classes"] == 2 and web[0]["columns"] == 2
    served = {e for p in listed["programs"] for e in p["endpoints"]}
    assert served == {"default/pod1", "default/nginx1"}
    node.write("kubernetes.yaml", DENY_ALL)
    node.reload()
    table = node.ctl("get", "programs", "default/pod1", "-o", "wide").stdout
    assert table.splitlines()[0].split() == ["DIRECTION", "FORM", "RULES", "CLASSES", "COLUMNS",
                                             "CELLS", "BYTES", "ENDPOINTS"]
    assert "policy.memory 128.0 MiB" in table


TWO_RULES = CALICO.replace("""      destination: {ports: [80]}
""", """      destination: {ports: [80]}
    - action: Allow
      protocol: TCP
      source: {selector: role == 'pod1'}
      destination: {ports: [81]}
""")


def unused(node, *arguments):
    """The rules of allow-pod1 that `report unused` lists, by number."""
    done = node.ctl("report", "unused", *arguments, "-o", "json")
    rules = json.loads(done.stdout)["rules"]
    assert done.returncode == (1 if rules else 0), done.stderr
    assert all(r["kind"] != "Profile" for r in rules), "nobody wrote a namespace's"
    return {r["rule"]: r for r in rules if r["policy"] == "allow-pod1"}


def test_a_rule_without_traffic_is_unused_and_one_with_is_not(node, pod1, nginx1):
    node.write("calico.yaml", TWO_RULES)
    node.start()
    started = time.time()
    exchange_tcp(pod1, nginx1, 80)
    listed = unused(node)
    assert set(listed) == {1}
    assert listed[1]["last_used"] is None
    assert abs(listed[1]["counted_since"] - started) < 10
    assert listed[1]["file"].endswith("calico.yaml") and listed[1]["line"] == 13
    assert set(unused(node, "--since", "1h")) == {1}
    wait_until(lambda: set(unused(node, "--since", "1s")) == {0, 1}, "rule 0 is idle by now")
    # What a reload does not change goes on counting; what it adds begins.
    node.write("kubernetes.yaml", DENY_ALL)
    node.reload()
    assert unused(node)[1]["counted_since"] == pytest.approx(listed[1]["counted_since"], abs=1)
    exchange_tcp(pod1, nginx1, 81)
    assert not unused(node)


@pytest.mark.parametrize("cores", [[0], [0, 1]], ids=["one_worker", "two_workers"])
def test_each_reload_is_timed_until_workers_judge_by_it(node, pod1, nginx1, cores):
    node.settings["workers"]["cores"] = cores
    node.start()

    def counts():
        reloads = node.query("stats", "reloads")
        return [reloads[w]["count"] for w in ("first_worker", "every_worker")]
    assert counts() == [0, 0], "the start is none"
    begun = time.monotonic()
    for done in range(1, 6):
        node.write("kubernetes.yaml", DENY_ALL if done % 2 else CALICO)
        node.reload() if done % 2 else node.ctl("reload")
        # Idle workers sleep: they are woken for it.
        wait_until(lambda: counts() == [done, done], counts)
    took = time.monotonic() - begun
    reloads = node.query("stats", "reloads")
    for figures in reloads.values():
        assert 0 < figures["sum_s"] < took
        assert sum(bucket["count"] for bucket in figures["buckets"]) == 5
        assert 0 < figures["p50_s"] <= figures["p99_s"]
    assert reloads["first_worker"]["sum_s"] <= reloads["every_worker"]["sum_s"]
    node.write("bad.yaml", "kind: [")
    assert node.ctl("reload").returncode == 4
    assert counts() == [5, 5], "a refused one is none"
    table = node.ctl("stats", "reloads").stdout
    assert table.splitlines()[0].split() == ["SECONDS", "FIRST_WORKER", "EVERY_WORKER"]
