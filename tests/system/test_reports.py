# SPDX-License-Identifier: Apache-2.0
"""What falls out of the compiled policies: programs, rules that nobody uses, reload times."""
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
