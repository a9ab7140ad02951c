# SPDX-License-Identifier: Apache-2.0
"""A reload is all or nothing, whatever is on disk."""
import json
import os
import re
import signal

from cluster import exchange_tcp
from namespace import wait_until
from test_policy import CALICO, DENY_ALL, denied

BAD = """apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: open, namespace: default}
spec:
  selector: app == 
  ingress:
    - action: Allow
"""


def check_refused(node, place):
    """`sluicectl reload` and SIGHUP refuse with the place of the error; status tells it."""
    generation = node.generation()
    done = node.ctl("reload")
    assert done.returncode == 4
    assert re.search(place, done.stderr), done.stderr
    last = node.query("status")["last_reload"]
    assert not last["ok"] and re.search(place, last["error"]), last
    before = node.log.read_text().count("reload refused")
    node.hang_up()
    wait_until(lambda: node.log.read_text().count("reload refused") > before, "no refusal logged")
    assert node.generation() == generation


def test_a_policy_error_changes_nothing_and_is_placed(node, pod1, nginx1):
    node.write("kubernetes.yaml", DENY_ALL)
    node.start()
    node.remove("kubernetes.yaml")
    node.write("bad.yaml", BAD)
    check_refused(node, r"bad\.yaml:5:\d+: ")
    denied(node, lambda: pod1.reaches(nginx1, 80))
    node.remove("bad.yaml")
    assert node.ctl("reload").returncode == 0
    assert node.query("status")["last_reload"]["ok"]
    exchange_tcp(pod1, nginx1)


def test_a_half_written_file_changes_nothing(node, pod1, nginx1):
    node.write("kubernetes.yaml", DENY_ALL)
    node.start()
    # Cut inside a quoted string, so that no whole document is left of it.
    cut = json.dumps({"apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy",
                      "metadata": {"name": "open", "namespace": "default"},
                      "spec": {"ingress": [{"action": "Allow"}]}})
    (node.directory / "policy.d" / "half.json").write_text(cut[:len(cut) // 2])
    node.remove("kubernetes.yaml")
    check_refused(node, r"half\.json:\d+:\d+: ")
    denied(node, lambda: pod1.reaches(nginx1, 80))
    (node.directory / "policy.d" / "half.json").write_text(cut)
    node.reload()
    exchange_tcp(pod1, nginx1)


def test_a_file_that_others_may_write_changes_nothing(node, pod1, nginx1):
    node.write("kubernetes.yaml", DENY_ALL)
    node.start()
    node.write("calico.yaml", CALICO)
    (node.directory / "policy.d" / "calico.yaml").chmod(0o666)
    check_refused(node, r"calico\.yaml.* its mode is 0666(.|\n)*hint: chmod go-w .*calico\.yaml")
    (node.directory / "policy.d" / "calico.yaml").chmod(0o600)
    os.chown(node.config, 65534, 65534)
    check_refused(node, r"sluice\.yaml.*belongs to user 65534(.|\n)*hint: chown root")
    os.chown(node.config, 0, 0)
    denied(node, lambda: pod1.reaches(nginx1, 80))
    node.reload()
    exchange_tcp(pod1, nginx1)


def test_a_swap_of_kubernetes_data_link_is_followed_at_once(node, pod1, nginx1):
    """As kubelet updates a mounted ConfigMap: a new directory, then ..data renamed onto it."""
    directory = node.directory / "policy.d"

    def swap(name, text):
        (directory / name).mkdir()
        (directory / name / "policy.yaml").write_text(text)
        (directory / "..new").symlink_to(name)
        (directory / "..new").rename(directory / "..data")
    swap("..1", DENY_ALL)
    (directory / "policy.yaml").symlink_to("..data/policy.yaml")
    node.start()
    denied(node, lambda: pod1.reaches(nginx1, 80))
    for turn in range(2, 12):
        swap(f"..{turn}", CALICO if turn % 2 == 0 else DENY_ALL)
        assert node.ctl("reload").returncode == 0
        assert pod1.reaches(nginx1, 80) == (turn % 2 == 0)


def test_an_error_in_the_settings_changes_nothing(node, pod1, nginx1):
    node.start()
    node.config.write_text(node.config.read_text().replace('"onExit"', '"onExitt"'))
    check_refused(node, r"sluice\.yaml:\d+:\d+: .*onExitt")
    exchange_tcp(pod1, nginx1)


def test_settings_that_need_a_restart_stay_and_the_rest_is_applied(node, pod1, nginx1):
    node.start()
    node.settings["workers"]["cores"] = [0, 1]
    node.settings["connections"]["max"] = 1024
    node.write_config()
    node.write("kubernetes.yaml", DENY_ALL)
    node.reload()
    assert re.search(r"connections\.max: read at start only.*restart", node.log.read_text(), re.S)
    assert len(node.query("status")["workers"]) == 1
    denied(node, lambda: pod1.reaches(nginx1, 80))
    node.remove("kubernetes.yaml")
    node.reload()
    exchange_tcp(pod1, nginx1)
    exchange_tcp(nginx1, pod1)


def test_neighbours_of_the_settings_come_and_go(node, peer, pod1, far):
    node.start()
    assert pod1.pings(far)
    node.settings["uplink"]["neighbours"] = {peer.address: "02:00:00:00:99:99"}
    node.write_config()
    node.reload()
    assert not pod1.pings(far)
    del node.settings["uplink"]["neighbours"]
    node.write_config()
    node.reload()
    wait_until(lambda: pod1.pings(far), "the kernel's neighbour is not taken again")


def test_reload_over_the_socket_brings_the_change_in_force_before_it_answers(node, pod1, nginx1):
    node.write("calico.yaml", CALICO)
    node.start()
    exchange_tcp(pod1, nginx1)
    node.write("calico.yaml", CALICO.replace("[80]", "[443]"))
    done = node.ctl("reload")
    assert done.returncode == 0, done.stderr
    denied(node, lambda: pod1.reaches(nginx1, 80))
    exchange_tcp(pod1, nginx1, 443)


def test_pods_come_and_go_while_traffic_of_others_loses_nothing(cluster, node, pod1, nginx1):
    node.start()
    before = node.drops()
    pings = pod1.namespace.start("ping", "-n", "-q", "-w", "100", "-i", "0.004", nginx1.address,
                                 stdout=-1, text=True)
    turns = 5
    for turn in range(turns):
        pod = cluster.pod(node, f"guest{turn}", f"10.244.153.{210 + turn}", app="nginx")
        node.write_config()
        node.reload()
        exchange_tcp(pod1, pod)
        exchange_tcp(pod, nginx1)
        cluster.remove_pod(pod)
        node.write_config()
        node.reload()
        assert not node.ctl("get", "endpoints", pod.interface).returncode == 0
    pings.send_signal(signal.SIGINT)
    out = pings.communicate(timeout=30)[0]
    sent, answered = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", out).groups())
    assert sent > 2 * turns, out  # one a reload at least, however fast they are
    assert sent - answered <= 1, out  # one may be on its way at the end
    changed = {k: v for k, v in node.drops().items() if before.get(k) != v}
    assert set(changed) <= {"port_down"}  # last words of a guest's connection


def test_a_pod_whose_interface_appears_after_its_resource_is_served(cluster, node, pod1):
    late = cluster.pod(node, "late", "10.244.153.220")
    late.namespace.ip("link", "del", "eth0")
    node.start()
    assert "no interface" in node.ctl("get", "endpoints", late.interface).stdout
    cluster.remove_pod(late)
    again = cluster.pod(node, "late", "10.244.153.220")
    wait_until(lambda: " up " in node.ctl("get", "endpoints", again.interface).stdout + " ",
               lambda: node.ctl("get", "endpoints").stdout)
    exchange_tcp(pod1, again)


def test_many_sighups_coalesce_and_the_last_change_is_in_force(node, pod1, nginx1):
    node.start()
    sent = 2000
    for turn in range(sent):
        if turn == sent - 1:
            node.write("kubernetes.yaml", DENY_ALL)
        node.process.send_signal(signal.SIGHUP)
    wait_until(lambda: any(p["name"] == "deny-all" for p in node.query("get", "policies")),
               "the last change is not in force")
    denied(node, lambda: pod1.reaches(nginx1, 80))
    assert node.log.read_text().count("reload generation=") < sent / 2
