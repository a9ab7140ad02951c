# SPDX-License-Identifier: Apache-2.0
"""perf/pktgen without a NIC: the Lua scripts before fake_pktgen.lua, the Python ones before
trex/stl/api.py, the gateway's files before sluicectl, the echo before clang."""
import csv
import io
import os
import pathlib
import re
import signal
import subprocess

import pytest
from scapy.all import IP, UDP, Ether

import trex_flows
import trex_rfc2544
from trex.stl.api import STLClient

HERE = pathlib.Path(__file__).parent
SCRIPTS = HERE.parents[1] / "perf/pktgen"
SIZES = [64, 128, 256, 512, 1024, 1280, 1518]
LUA = sorted(SCRIPTS.glob("*.lua"))


def run(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=60)


def lua(script, directory, **options):
    """Runs a script against the fake gateway.  Returns how it ended, its trials and its table."""
    settings = options.pop("settings", "")
    fields = "".join(f"{name}={value!r}," for name, value in options.items())
    done = run("lua5.4", HERE / "fake_pktgen.lua", SCRIPTS / script,
               f"{fields} settings={{results='{directory}', {settings}}}")
    kinds = re.findall(r"^(trial|denied) ", done.stdout, re.M)
    assert "denied" not in kinds[1:] and (script != "rfc2544.lua" or kinds[:1] != ["trial"])
    assert "sending false" in done.stdout, done.stderr + done.stdout
    trials = [(int(size), int(flows), float(rate)) for size, flows, rate in
              re.findall(r"^trial (\S+) (\S+) (\S+)$", done.stdout, re.M)]
    tables = list(pathlib.Path(directory).glob("*.csv"))
    rows = list(csv.DictReader(tables[0].open())) if tables else []
    return done, trials, rows


@pytest.mark.parametrize("script", LUA, ids=lambda path: path.name)
def test_lua_is_lua(script):
    assert run("luac5.4", "-p", script).returncode == 0


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.name)
def test_python_is_python(script):
    compile(script.read_text(), script, "exec")


def test_the_echo_compiles(tmp_path):
    done = run("clang", "-O2", "-g", "-Wall", "-Werror", "-target", "bpf",
               f"-I/usr/include/{os.uname().machine}-linux-gnu", "-c", SCRIPTS / "echo.bpf.c",
               "-o", tmp_path / "echo.bpf.o")
    assert done.returncode == 0, done.stderr


def test_shell_is_shell():
    assert run("bash", "-n", SCRIPTS / "node/echo_pod.sh").returncode == 0


@pytest.mark.parametrize("words, status", [(["--help"], 0), (["-h"], 0), (["up"], 2),
                                           (["down", "now"], 2), ([""], 2)])
def test_echo_pod_does_nothing_but_what_it_was_told(words, status):
    done = run(SCRIPTS / "node/echo_pod.sh", *words)
    assert done.returncode == status and "usage:" in done.stderr


@pytest.mark.parametrize("carries", [100, 99.95, 80.8, 37.3, 12.5, 1, 0.15])
def test_search_finds_what_the_gateway_carries(tmp_path, carries):
    done, trials, rows = lua("rfc2544.lua", tmp_path, carries=carries, settings="flows={1000}")
    assert done.returncode == 0, done.stdout
    assert [int(row["size"]) for row in rows] == SIZES
    assert sorted({size for size, _, _ in trials}) == SIZES
    for row in rows:
        rate = float(row["rate_percent"])
        assert carries - 0.11 <= rate <= carries + 0.005, row
        assert row["lost"] == "0" and row["note"] == ""
        of_size = [trial[2] for trial in trials if trial[0] == int(row["size"])]
        assert of_size[:2] == [10, 100] and len(of_size) <= 12


def test_search_ends_when_all_is_lost(tmp_path):
    _, trials, rows = lua("rfc2544.lua", tmp_path, carries=0, settings="flows={1}")
    assert {row["rate_percent"] for row in rows} == {"0.00"} and len(rows) == len(SIZES)
    assert len(trials) == len(SIZES) * 12


def test_tolerated_loss_is_tolerated(tmp_path):
    _, _, rows = lua("rfc2544.lua", tmp_path, carries=50, settings="flows={1}, loss=0.01")
    assert all(50.3 <= float(row["rate_percent"]) <= 50.51 for row in rows)
    assert all(int(row["lost"]) > 0 for row in rows)


def test_rate_is_that_of_the_frames_that_came_back(tmp_path):
    _, _, rows = lua("rfc2544.lua", tmp_path, settings="flows={1}")
    assert abs(int(rows[0]["packets_per_second"]) - 14_880_952) < 10
    assert abs(int(rows[-1]["packets_per_second"]) - 812_743) < 10


def test_a_tester_that_is_too_slow_is_named(tmp_path):
    _, _, rows = lua("rfc2544.lua", tmp_path, tester=70, settings="flows={1}")
    assert all(row["note"] == "the tester sent less than asked" for row in rows)
    assert int(rows[0]["packets_per_second"]) < 10_420_000


@pytest.mark.parametrize("asked", [1, 2, 7, 64, 1000, 10000, 1000000])
def test_ranges_that_step_at_once_make_all_flows(tmp_path, asked):
    _, trials, rows = lua("rfc2544.lua", tmp_path,
                          settings=f"flows={{{asked}}}, resolution=50")
    made = {flows for _, flows, _ in trials}
    assert len(made) == 1 and asked <= made.pop() < asked + 128
    assert int(rows[0]["flows"]) == trials[0][1]


def test_transit_leaves_room_for_the_tunnel(tmp_path):
    _, trials, rows = lua("rfc2544.lua", tmp_path, settings="flows={1}, scenario='transit'")
    assert max(size for size, _, _ in trials) == 1498 and len(rows) == len(SIZES)


@pytest.mark.parametrize("options, problem", [
    ({"raise": 5}, "interrupted"),
    ({"carries": 0.0, "tester": 0}, "sent nothing"),
    ({"echoes": 2}, "traffic of others"),
    ({"link": "<--Down-->"}, "Down"),
    ({"denies": 0}, "which is denied, came back"),
    ({"settings": "flows={10000000}"}, "flows need"),
])
def test_nothing_is_sent_after_an_error(tmp_path, options, problem):
    done, _, _ = lua("rfc2544.lua", tmp_path, **{"settings": "flows={1}", **options})
    assert done.returncode == 1 and problem in done.stdout, done.stdout


def test_latency_is_that_of_the_samples(tmp_path):
    done, trials, rows = lua("latency.lua", tmp_path, settings="flows={1}")
    assert done.returncode == 0, done.stdout
    assert [int(row["size"]) for row in rows] == SIZES and {rate for *_, rate in trials} == {10}
    expected = {"probes": "1000", "least": "1.00", "mean": "500.50", "median": "500.00",
                "p99": "990.00", "p999": "999.00", "most": "1000.00"}
    assert all(expected.items() <= row.items() for row in rows)


def test_latency_refuses_a_tunnel(tmp_path):
    done, trials, _ = lua("latency.lua", tmp_path, settings="scenario='transit'")
    assert done.returncode == 1 and "tunnel" in done.stdout and not trials


@pytest.mark.parametrize("path", sorted(trex_rfc2544.SIZES))
@pytest.mark.parametrize("index", range(len(SIZES)))
def test_trex_frames_are_as_long_as_asked(path, index):
    size = trex_rfc2544.SIZES[path][index]
    (stream,) = trex_flows.register().get_streams(
        tunables=["--size", str(size), "--path", path], direction=0, port_id=0)
    raw = bytes(stream.packet.pkt)
    packet = Ether(raw)
    assert len(raw) == size - 4
    assert packet[IP].len == len(raw) - 14
    inner = packet[IP].payload if path == "ipip" else packet[IP]
    if path == "ipip":
        assert (packet[IP].src, packet[IP].dst) == ("192.168.100.112", "192.168.100.111")
        assert packet[IP].proto == 4 and inner.len == packet[IP].len - 20
    assert inner.dst == ("10.244.146.205" if path == "transit" else "10.244.153.201")
    assert inner.proto == 17 and inner[UDP].len == inner.len - 20 and inner[UDP].chksum == 0


@pytest.mark.parametrize("path, layer", [("plain", "IP"), ("ipip", "IP:1"), ("transit", "IP")])
@pytest.mark.parametrize("flows", [1, 61, 10000, 1000000])
def test_trex_steps_through_the_flows_of_the_inner_header(path, layer, flows):
    load = trex_flows.streams(128, flows, path)[0]
    (_, span), *writes, checksum = load.packet.vm.commands
    first, last = (int(span[key].rsplit(".", 1)[1]) for key in ("ip_min", "ip_max"))
    pairs = (last - first + 1) * (span["port_max"] - span["port_min"] + 1)
    assert span["limit_flows"] == flows <= pairs < flows + 62
    assert [fields["pkt_offset"] for _, fields in writes] == [f"{layer}.src", "UDP.sport"]
    assert checksum == ("checksum", {"offset": layer})


def test_trex_refuses_what_cannot_be():
    for arguments in ({"size": 64, "path": "ipip"}, {"flows": 10**7},
                      {"path": "ipip", "size": 128, "latency": 1000}):
        with pytest.raises(ValueError):
            trex_flows.streams(**arguments)


@pytest.mark.parametrize("size", SIZES)
def test_trex_probes_have_room_for_their_stamp(size):
    load, probe = trex_flows.streams(size=size, latency=1000)
    assert len(load.packet.pkt) == size - 4 and load.flow_stats is None
    assert probe.flow_stats[0] == "latency" and probe.mode[1] == {"pps": 1000}
    assert len(probe.packet.pkt[UDP].payload) >= 16 and probe.packet.vm is None


@pytest.mark.parametrize("carries", [100, 62.5, 3.33, 0])
def test_trex_search(monkeypatch, capsys, carries):
    monkeypatch.setattr(STLClient, "carries", carries)
    monkeypatch.setattr(STLClient, "trials", [])
    trex_rfc2544.main(["--settle", "0", "--latency", "100"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [int(row["size"]) for row in rows] == SIZES
    assert sorted({size for size, _ in STLClient.trials}) == SIZES
    assert all(carries - 0.11 <= float(row["rate_percent"]) <= carries for row in rows)
    assert carries == 0 or rows[0]["latency_us_mean"] == "5.5"
    assert STLClient.connected == 0


def test_trex_lets_go_when_terminated(monkeypatch):
    monkeypatch.setattr(STLClient, "get_stats", lambda self: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit, match="143"):
            trex_rfc2544.main(["--settle", "0"])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert STLClient.connected == 0


def test_trex_lets_go_after_an_error(monkeypatch):
    monkeypatch.setattr(STLClient, "get_stats", lambda self: {0: {"opackets": 0, "ipackets": 0}})
    with pytest.raises(RuntimeError, match="no link"):
        trex_rfc2544.main(["--settle", "0"])
    assert STLClient.connected == 0


@pytest.fixture(scope="module")
def node():
    return SCRIPTS / "node"


def sluicectl(*words):
    return run(os.environ["SLUICECTL"], *words)


def test_the_gateway_files_are_fine(node):
    done = sluicectl("check", "--config", node / "sluice.yaml")
    assert done.returncode == 0, done.stderr
    assert "1 local endpoints" in done.stdout


@pytest.mark.parametrize("source, destination, port, verdict", [
    (trex_flows.SOURCES["plain"], trex_flows.ECHO_POD, 5000, "allow"),
    (trex_flows.SOURCES["plain"], trex_flows.ECHO_POD, 1028, "allow"),
    (trex_flows.SOURCES["plain"], trex_flows.ECHO_POD, 80, "deny"),
    (trex_flows.SOURCES["ipip"], trex_flows.ECHO_POD, 5000, "allow"),
    (trex_flows.SOURCES["ipip"], trex_flows.ECHO_POD, 80, "deny"),
    (trex_flows.SOURCES["transit"], trex_flows.OTHER_POD, 5000, "allow"),
    (trex_flows.SOURCES["transit"], trex_flows.OTHER_POD, 80, "deny"),
])
def test_the_policy_judges_every_path(node, source, destination, port, verdict):
    done = sluicectl("explain", "--config", node / "sluice.yaml", source, destination,
                     f"udp/{port}")
    assert f"{verdict}: {source}" in done.stdout, done.stdout + done.stderr


def test_all_speak_of_the_same_addresses(node):
    files = {path.name: path.read_text() for path in
             [*node.glob("*.yaml"), *node.glob("policy.d/*.yaml"), SCRIPTS / "settings.lua"]}
    assert f"[{trex_flows.ECHO_POD}/32]" in files["cluster.yaml"]
    for address in (trex_flows.ECHO_POD, trex_flows.OTHER_POD, trex_flows.SOURCES["plain"]):
        assert f'"{address}"' in files["settings.lua"]
    gateway = re.search(r'gateway_mac = ("\S+")', files["settings.lua"])[1]
    assert f"mac: {gateway}" in files["sluice.yaml"]
    assert f"addresses: [{trex_flows.GATEWAY}/24]" in files["sluice.yaml"]
    assert f"{trex_flows.OTHER_NODE}:" in files["sluice.yaml"]
