"""Every recorded client conversation against a real cluster; one test per case."""

from pathlib import Path

import pytest

from tests.replay.cases import load_folder
from tests.replay.run import run_case
from tests.replay.scope import load_scope

pytestmark = pytest.mark.cluster

CASES = load_folder(Path(__file__).parents[1] / "vectors" / "http")
SCOPE = load_scope()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.area}-{case.id}")
def test_recorded_case(case, target):
    result = run_case(case, target, SCOPE)
    if result.skipped:
        pytest.skip(result.skipped)
    assert result.passed, result.report()
