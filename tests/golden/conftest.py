# SPDX-License-Identifier: Apache-2.0
"""Says at the end which drop reasons of the registry no case has met."""
import pathlib
import re

import pytest

REGISTRY = pathlib.Path(__file__).parents[2] / "classifier/verdict.h"
met = set()


@pytest.fixture
def covered():
    """The drop reasons that the cases expect; test_case adds its own."""
    return met


def pytest_terminal_summary(terminalreporter):
    listed = REGISTRY.read_text().split("#define SLUICE_DROP_REASONS(X)")[1].split("// clang")[0]
    reasons = re.findall(r"X\((\w+)\)", listed)
    missing = [r for r in reasons if r not in met]
    terminalreporter.write_line(
        f"{len(reasons) - len(missing)} of {len(reasons)} drop reasons have a case; none for: "
        + " ".join(missing))
