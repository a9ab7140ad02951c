# SPDX-License-Identifier: Apache-2.0
"""Which drop reasons the cases have met, and who makes those that no capture can."""
import pathlib
import re

import pytest

TESTS = pathlib.Path(__file__).parents[1]
REGISTRY = TESTS.parent / "classifier/verdict.h"
# What no capture brings about: the file and the test that does.
ELSEWHERE = {
    "endpoint_down": ("fastpath/pipeline_resource_test.cc", "APortWithoutAnEndpointIsDown"),
    "policy_not_ready": ("fastpath/pipeline_resource_test.cc",
                         "AnEndpointWhosePolicyIsNotLoadedGetsNothing"),
    "policy_recheck": ("fastpath/pipeline_test.cc", "RecheckCutsWhatPolicyNowDenies"),
    "res_mbuf": ("fastpath/pipeline_resource_test.cc", "WithoutBuffersWhatMustBeCutIsLost"),
    "res_tx": ("fastpath/pipeline_resource_test.cc", "AFullRingLosesWhatItDoesNotTake"),
    "res_punt": ("fastpath/pipeline_resource_test.cc", "AFullRingToTheNodeIsAFullPuntQueue"),
    "rx_missed": ("control/report_test.cc", "AddsWhatThePortsMissedToTheDrops"),
    "port_down": ("fastpath/pipeline_test.cc", "CountsWhatIsForAPodWithoutAnInterface"),
}
NEVER = {"sys_bug"}
met = set()


def registry():
    listed = REGISTRY.read_text().split("#define SLUICE_DROP_REASONS(X)")[1].split("// clang")[0]
    return re.findall(r"X\((\w+)\)", listed)


@pytest.fixture
def covered():
    """The drop reasons that the cases expect; test_case adds its own."""
    return met


def pytest_terminal_summary(terminalreporter):
    reasons = registry()
    by_case = [r for r in reasons if r in met]
    terminalreporter.write_line(f"of {len(reasons)} drop reasons {len(by_case)} have a case here; "
                                "others are made in:")
    for reason, (file, test) in ELSEWHERE.items():
        terminalreporter.write_line(f"  {reason:17} tests/{file}, {test}")
