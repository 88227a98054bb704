"""The benchmarks' command knows its cases and reports the measurements; tests do not measure."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cases import CASES
from benchmarks.measuring import Figures
from benchmarks.results import Results, goals, outcomes, table
from benchmarks.run import main

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def _figures(contestant: str, seconds: float) -> Figures:
    steps = {"pipedrive_persons": (1.0, 1.0, 8)}
    return Figures("first", contestant, "postgresql", 1_000, 0, seconds, 1.0, seconds / 10, steps=steps)


def test_all_cases_are_listed_and_documented(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--list"])
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == list(CASES)
    documented = PAGE.read_text(encoding="utf-8")
    assert [name for name in CASES if f"| `{name}` |" not in documented] == []


def test_an_unknown_case_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["frist"])
    assert "There is no case frist; there are first, second, " in capsys.readouterr().err


def test_medians_are_compared_with_peers_and_goals() -> None:
    # One slow round of each is an outlier, not the result.
    rounds = [("floor", (1.0, 2.0, 9.0)), ("product", (4.0, 30.0, 4.0)), ("dlt", (24.0, 24.0, 24.0))]
    results = Results([_figures(who, seconds) for who, taken in rounds for seconds in taken])
    (row,) = [row for row in table(results) if " product " in row]
    assert row.endswith("0.50 × floor (CPU 0.86), 6.00 × dlt (CPU 2.43)")
    found = {each.goal: (each.measured, each.met) for each in outcomes(results)}
    assert found["first, postgresql, 1,000 persons: ≥ 5 × dlt"] == ("6.00 ×", True)
    assert found["first, postgresql, 1,000 persons: ≥ 0.7 × floor"] == ("0.50 ×", False)
    assert found["requests of a full walk of 1,000: ≤ 7"] == ("8", False)
    assert found["second, postgresql, 1,000 persons: ≥ 6 × dlt"] == ("–", None)
    assert len(list(goals(results))) == len(found) + 1
