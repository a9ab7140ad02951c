# SPDX-License-Identifier: Apache-2.0
"""Captures in, captures out: sluiced --replay on every case of the folders below.

A folder has case.py, whose public functions are its cases, the policies they run under as YAML
files and, where the shared one does not do, a sluice.yaml.  See README.md for how to add one.
    SLUICED=build/control/sluiced /usr/bin/python3 -m pytest tests/golden
"""
import importlib.util
import inspect
import json
import os
import pathlib
import random
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
from conftest import ELSEWHERE, NEVER, TESTS, registry  # noqa: E402
from replay import FATES, Replay  # noqa: E402

ran = []


def cases():
    for file in sorted(HERE.glob("*/case.py")):
        name = file.parent.name
        spec = importlib.util.spec_from_file_location(f"golden_{name.replace('-', '_')}", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for function_name, function in vars(module).items():
            own = inspect.isfunction(function) and function.__module__ == module.__name__
            if own and not function_name.startswith("_"):
                yield pytest.param(file.parent, function, id=f"{name}/{function_name}")


def _run_twice(replay, directory):
    """The captures of the first run, with which those of the second agree in every byte."""
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(replay.run, (directory / "first", directory / "second"))
    for file in sorted(first.iterdir()):
        assert file.read_bytes() == (second / file.name).read_bytes(), f"{file.name}: two runs"
    return first


@pytest.mark.parametrize("folder, case", cases())
def test_case(folder, case, tmp_path, covered):
    replay = Replay(folder)
    case(replay)
    covered.update(s.reason for s in replay.sent if s.reason)
    replay.check(_run_twice(replay, tmp_path))
    ran.append(case)


def test_every_drop_reason_has_a_producer(covered):
    """A case, or the test that makes what no capture can; sys_bug has none."""
    if len(ran) < len(list(cases())):
        pytest.skip("not all cases ran, or not all passed")
    reasons = set(registry())
    assert set(ELSEWHERE) | NEVER <= reasons
    assert reasons - covered - set(ELSEWHERE) - NEVER == set()
    assert covered & NEVER == set()
    for reason, (file, test) in ELSEWHERE.items():
        text = (TESTS / file).read_text()
        assert test in text and reason in text, f"{reason}: no {test} in {file}"


def test_a_capture_that_no_port_reads_is_refused(tmp_path):
    replay = Replay(HERE)
    replay.send("caliclent", bytes(60))
    with pytest.raises(AssertionError) as refusal:
        replay.run(tmp_path / "run")
    text = str(refusal.value)
    assert 'caliclent.in.pcap: no local endpoint has interface "caliclent"' in text
    assert 'hint: did you mean "caliclient"?' in text


def test_the_check_sees_every_difference(tmp_path):
    """A case that is wrong in one thing fails: the checker checks."""
    from scene import CLIENT, WEB, from_pod, hop, to_pod, udp

    def run(name, port=WEB.port, change=lambda frame: frame, late=0, extra=None, rules=None):
        replay = Replay(HERE)
        packet = udp(CLIENT, WEB)
        sent = replay.send(CLIENT.port, from_pod(CLIENT, packet))
        replay.wait(late)
        sent.forwarded(port, change(bytes(to_pod(WEB, hop(packet)))))
        if extra:
            sent.emits(extra, bytes(60))
        if rules:
            replay.rules(rules)
        replay.check(replay.run(tmp_path / name))

    run("right")
    flip = lambda frame: frame[:-1] + bytes([frame[-1] ^ 1])
    for number, wrong in enumerate(({"port": "caliblue"}, {"change": flip}, {"late": 0.5},
                                    {"extra": "uplink"},
                                    {"rules": ("p", "ingress", 0, "allow", 1, 1)})):
        with pytest.raises(AssertionError):
            run(f"wrong{number}", **wrong)


def test_noise_ends_in_one_fate_each(tmp_path):
    """Good frames with bytes changed, cut or added, on every port: no crash, the sums hold, and
    two runs agree."""
    from scene import (CLIENT, CLIENT6, FAR, FAR6, PROXY6, WEB, WEB6, WORLD, WORLD6, ping, ping6,
                       sent_by, solicit, syn, udp)

    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(2**32))
    print("SEED", seed)
    rng = random.Random(seed)
    good = [sent_by(src, packet) for src, dst in ((CLIENT, WEB), (WEB, CLIENT), (FAR, WEB),
                                                  (WORLD, WEB), (CLIENT, FAR), (CLIENT, WORLD))
            for packet in (udp(src, dst), syn(src, dst), ping(src, dst), ping(src, dst, type=0),
                           udp(src, dst, id=7, flags="MF", data=bytes(1200)),
                           udp(src, dst, data=bytes(1460)))]
    good += [sent_by(src, packet) for src, dst in ((CLIENT6, WEB6), (FAR6, WEB6), (WORLD6, WEB6),
                                                   (CLIENT6, FAR6), (CLIENT6, WORLD6))
             for packet in (udp(src, dst), syn(src, dst), ping6(src, dst),
                            udp(src, dst, data=bytes(1440)))]
    good += [(CLIENT.port, solicit(CLIENT6.ip, PROXY6, CLIENT.mac))] * 4
    replay = Replay(HERE)
    for _ in range(3000):
        port, frame = rng.choice(good)
        data = bytearray(bytes(frame))
        for _ in range(rng.choice((0, 0, 1, 1, 2, 5))):
            data[rng.randrange(min(len(data), 80))] = rng.randrange(256)
        data = data[:rng.randrange(1, len(data))] if rng.random() < 0.1 else data
        data += rng.randbytes(rng.randrange(20)) if rng.random() < 0.1 else b""
        replay.wait(rng.random() / 50)
        replay.send(port, data)
    counters = json.loads((_run_twice(replay, tmp_path) / "counters.json").read_text())
    assert len(counters["fates"]) == len(replay.sent)
    for name, row in counters["ports"].items():
        assert row["rx_packets"] == sum(row[fate] for fate in FATES), name
        assert row["rx_packets"] == sum(s.port == name for s in replay.sent), name
