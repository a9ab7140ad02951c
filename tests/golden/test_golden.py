# SPDX-License-Identifier: Apache-2.0
"""Captures in, captures out: sluiced --replay on every case of the folders below.

A folder has case.py, whose public functions are its cases, the policies they run under as YAML
files and, where the shared one does not do, a sluice.yaml.  See README.md for how to add one.
    SLUICED=build/control/sluiced /usr/bin/python3 -m pytest tests/golden
"""
import importlib.util
import inspect
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
from replay import Replay  # noqa: E402


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


@pytest.mark.parametrize("folder, case", cases())
def test_case(folder, case, tmp_path, covered):
    replay = Replay(folder)
    case(replay)
    covered.update(s.reason for s in replay.sent if s.reason)
    first = replay.run(tmp_path / "first")
    replay.check(first)
    second = replay.run(tmp_path / "second")
    for file in sorted(first.iterdir()):
        assert file.read_bytes() == (second / file.name).read_bytes(), f"{file.name}: two runs"
