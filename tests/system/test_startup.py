# SPDX-License-Identifier: Apache-2.0
"""Why sluiced does not start: said clearly, with the right exit code, and nothing is left."""
import array
import fcntl
import os
import re
import socket
import struct
import subprocess

import pytest

from cluster import exchange_tcp
from test_lifecycle import footprint

BAD_INPUT, REFUSED = 2, 4
POD_TWICE = """apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: node111-k8s-twin-eth0, namespace: default}
spec: {node: node111, orchestrator: k8s, pod: twin, endpoint: eth0, interfaceName: calitwin,
  ipNetworks: [10.244.153.204/32]}
"""


def check_refused(node, code, pattern, prefix=()):
    before = footprint(node)
    done = node.run_to_end(prefix=prefix)
    assert re.search(pattern, done.stderr), done.stderr
    assert done.returncode == code, done.stderr
    assert footprint(node) == before
    assert done.stderr.count("hint:") <= 1


def test_a_missing_interface_is_named(node, pod1):
    node.settings["uplink"]["interface"] = "ens99"
    node.write_config()
    check_refused(node, REFUSED, r'interface "ens99" does not exist')
    assert not node.socket.exists()


def test_a_busy_uplink_is_refused_with_the_id_of_its_program(cluster, node, pod1):
    source, program = cluster.directory / "pass.c", cluster.directory / "pass.o"
    source.write_text('__attribute__((section("xdp"), used)) int all(void *frame) { return 2; }\n'
                      'char _license[] __attribute__((section("license"), used)) = "GPL";\n')
    subprocess.run(["clang", "-O2", "-target", "bpf", "-c", source, "-o", program], check=True)
    node.namespace.ip("link", "set", "dev", "ens10", "xdp", "obj", str(program), "sec", "xdp")
    number = re.search(r"prog/xdp id (\d+)", node.namespace.ip("link", "show", "ens10")).group(1)
    node.write_config()
    check_refused(node, REFUSED, rf'interface "ens10": XDP program {number} .*attached')
    assert f"id {number}" in node.namespace.ip("link", "show", "ens10"), "it is not ours to take"


def test_a_second_sluiced_on_the_same_uplink_is_refused_and_the_first_runs_on(node, pod1, nginx1):
    node.start()
    first = node.config.read_text()
    node.config.write_text(first.replace(".sock", "-2.sock"))
    check_refused(node, REFUSED, r"XDP program \d+ .*attached")
    node.config.write_text(first)
    exchange_tcp(pod1, nginx1)
    exchange_tcp(node.host, pod1)


def test_a_second_sluiced_on_another_uplink_leaves_the_firsts_host_port_alone(node, pod1):
    node.start()
    first = node.config.read_text()
    node.namespace.ip("link", "add", "other", "up", "type", "veth", "peer", "name", "other-p")
    node.config.write_text(first.replace(".sock", "-2.sock").replace('"ens10"', '"other"'))
    check_refused(node, REFUSED, "another sluiced .* has the host port sluice0")
    node.config.write_text(first)
    exchange_tcp(node.host, pod1)


def test_an_uplink_that_sends_on_fewer_queues_than_it_receives_on_is_refused(node, pod1):
    node.namespace.ip("link", "add", "multi", "numrxqueues", "2", "type", "veth",
                      "peer", "name", "multi-p")
    node.settings["uplink"]["interface"] = "multi"
    node.write_config()
    check_refused(node, REFUSED, 'interface "multi" receives on 2 queues and sends on 1')


def set_queues(namespace, interface, count):
    """As `ethtool -L interface rx count tx count` does: SIOCETHTOOL with struct ethtool_channels."""
    get, change = 0x3c, 0x3d
    with namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        def ask(*channels):
            memory = array.array("I", channels)
            address, _ = memory.buffer_info()
            fcntl.ioctl(any_socket, 0x8946, struct.pack("16sP16x", interface.encode(), address))
            return memory
        _, *limits = ask(get, *[0] * 8)
        ask(change, *limits[:4], count, count, *limits[6:])


def test_queues_that_nobody_needs_or_reads_are_told_of(node, pod1, nginx1):
    node.namespace.ip("link", "del", "ens10")
    node.plug_in(queues=4)
    set_queues(node.namespace, "ens10", 3)
    node.start()
    assert "uplink: 3 queues, more than twice the workers (1)" in node.log.read_text()
    complaint = 'interface "ens10" receives on 4 queues now, and sluice reads 3'
    assert complaint not in node.log.read_text()
    set_queues(node.namespace, "ens10", 4)
    for change in "ab":
        node.write("more.yaml", NETWORK_SET.format(change))
        node.reload()
    assert node.log.read_text().count(complaint) == 1
    exchange_tcp(pod1, nginx1)


NETWORK_SET = """apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {{name: {0}}}
spec: {{nets: [192.0.2.0/24]}}
"""


def test_a_second_sluiced_with_the_same_control_socket_is_refused(node, pod1, nginx1):
    node.start()
    check_refused(node, REFUSED, r"another daemon answers on .*node111\.sock")
    assert node.ctl("status").returncode == 0
    exchange_tcp(pod1, nginx1)


def test_bad_yaml_is_placed(node, pod1):
    node.write_config()
    node.config.write_text("node: node111\nuplink: {interface: ens10\nworkers: }\n")
    check_refused(node, BAD_INPUT, r"sluice\.yaml:\d+:\d+: ")


def test_an_unknown_key_is_placed(node, pod1):
    node.write_config()
    node.config.write_text(node.config.read_text().replace('"idle"', '"idel"'))
    check_refused(node, BAD_INPUT, r"sluice\.yaml:\d+:\d+: .*idel")


def test_a_resource_that_does_not_parse_is_placed(node, pod1):
    node.write_config()
    node.write("bad.yaml", "kind: NetworkPolicy\napiVersion: projectcalico.org/v3\n"
                           "metadata: {name: x, namespace: default}\nspec: {selector: 'a ='}\n")
    check_refused(node, BAD_INPUT, r"bad\.yaml:4:\d+: ")


def test_an_unknown_node_is_named(node, pod1):
    node.settings["node"] = "node999"
    node.write_config()
    check_refused(node, BAD_INPUT, r"sluice\.yaml:\d+:\d+: .*node999")


def test_pods_that_share_an_address_are_named(node, pod1):
    node.write_config()
    node.write("twin.yaml", POD_TWICE)
    check_refused(node, BAD_INPUT, r"\.yaml:\d+:\d+: .*10\.244\.153\.204")


def test_a_missing_settings_file_is_named(node, pod1):
    check_refused(node, BAD_INPUT, r"sluice\.yaml: .*[Nn]o such file")


def test_a_missing_resource_is_named_where_the_settings_name_it(node, pod1):
    node.settings["resources"].append("nowhere.yaml")
    node.write_config()
    check_refused(node, BAD_INPUT, r"sluice\.yaml:\d+:\d+: .*nowhere\.yaml.*[Nn]o such file")


AS_NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")


def open_to_all(cluster):
    for path in [cluster.directory, *cluster.directory.rglob("*")]:
        os.chmod(path, 0o755)


def test_it_starts_where_the_bounding_set_cannot_be_changed(node, pod1, nginx1):
    """As a container without CAP_SETPCAP is given it; its own capabilities are reduced still."""
    node.start(prefix=("setpriv", "--bounding-set", "-setpcap"))
    assert "setpcap" not in node.query("status")["posture"]["capabilities"]
    exchange_tcp(pod1, nginx1)
    effective = re.search(r"CapEff:\s*(\w+)", open(f"/proc/{node.process.pid}/status").read())[1]
    CAP_SYS_ADMIN, CAP_NET_ADMIN = 21, 12
    assert int(effective, 16) >> CAP_SYS_ADMIN & 1 == 0
    assert int(effective, 16) >> CAP_NET_ADMIN & 1 == 1


def test_an_unreadable_file_is_named(cluster, node, pod1):
    node.write_config()
    open_to_all(cluster)
    os.chmod(node.directory / "policy.d" / "cluster.yaml", 0o600)
    check_refused(node, BAD_INPUT, r"cluster\.yaml.*[Pp]ermission denied", AS_NOBODY)


def test_without_root_it_says_so(cluster, node, pod1):
    node.write_config()
    open_to_all(cluster)
    check_refused(node, BAD_INPUT, r"must run as root", AS_NOBODY)


def test_an_mtu_above_the_frame_size_is_refused(cluster, node, pod1):
    cluster.wire.ip("link", "set", node.port, "mtu", "9000")
    node.namespace.ip("link", "set", "ens10", "mtu", "9000")
    node.write_config()
    check_refused(node, REFUSED, r'interface "ens10": mtu 9000 exceeds \d+')


def test_a_foreign_sluice0_is_not_taken(node, pod1):
    node.namespace.ip("link", "add", "sluice0", "type", "bridge")
    node.write_config()
    check_refused(node, REFUSED, r'link "sluice0" exists and is not ours')


def test_a_core_that_does_not_exist_is_named(node, pod1):
    node.settings["workers"]["cores"] = [0, 1023]
    node.write_config()
    check_refused(node, REFUSED, r"workers\.cores: .*1023")


@pytest.mark.parametrize("arguments", [["--no-such-flag"], ["--log-level", "loud"]])
def test_bad_usage_ends_with_2(node, arguments):
    assert node.run_to_end(*arguments).returncode == BAD_INPUT


def test_check_says_fine_and_changes_nothing(node, pod1):
    node.write_config()
    before = footprint(node)
    done = node.run_to_end("--check")
    assert (done.returncode, done.stdout.endswith(": fine\n")) == (0, True), done.stderr
    assert footprint(node) == before
