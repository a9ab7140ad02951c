# SPDX-License-Identifier: Apache-2.0
"""perf/e2e/report.py: a goal is not reached by a difference that is none."""
import pytest

import report
from measure import Sample

TEXT = "the same without what an established packet costs"


def answer(new_flow_ns):
    """What is said of sluice, with these costs beside 500 ns an established packet."""
    samples = [Sample("nftables", "new_flow_ns", 100, 64, 9000.0),
               Sample("nftables", "established_ns", 1000, 64, 800.0),
               Sample("sluice", "established_ns", 1000, 64, 500.0),
               Sample("sluice", "established_mpps", 1000, 64, 1.0),
               *(Sample("sluice", "new_flow_ns", 100, 64, value) for value in new_flow_ns)]
    (found,) = [goal for goal in report.goals(report.Results(samples), 1000)
                if goal[0].startswith(TEXT)]
    return found


@pytest.mark.parametrize("ns", [(400, 400, 400), (500, 500, 500), (520, 520, 520),
                                (700, 800, 1200)])
def test_what_is_not_clearly_more_reaches_nothing(ns):
    assert answer(ns) == (f"{TEXT}: {report.NO_DIFFERENCE}", None)


@pytest.mark.parametrize("ns, ratio, reached", [
    ((900, 910, 920), 20, True), ((2550, 2550, 2550), 4, False)])
def test_what_is_clearly_more_is_judged(ns, ratio, reached):
    text, is_reached = answer(ns)
    assert text.startswith(f"{TEXT}: {ratio}") and is_reached is reached
