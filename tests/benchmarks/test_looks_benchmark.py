"""The benchmark of looks ends studies by its rules, and counts them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.statistics.comparison import Comparison, compare
from benchmarks import looks
from benchmarks.calibration import SETTINGS, Setting


def test_a_study_ends_at_the_first_number_of_seeds_that_decides() -> None:
    alike = np.ones((20, 400), bool)
    differing = alike.copy()
    differing[8:, :200] = False
    asked = []

    def compared(seeds: int, confidence: float) -> Comparison:
        asked.append((seeds, round(confidence, 3)))
        return compare(alike[:seeds], differing[:seeds], confidence=confidence)

    ends = {name: looks.end(rule, compared) for name, rule in looks.RULES.items()}
    assert ends["--seeds auto"][0] == 20 and ends["--seeds auto"][1].winner == "a"
    assert asked[3:6] == [(5, 0.99), (10, 0.98), (20, 0.97)]
    assert ends["added until decided"][0] == 20
    assert {name: ends[name][1].call for name in ("5 seeds", "20 seeds")} == {
        "5 seeds": "not shown",
        "20 seeds": "better",
    }


def test_every_rule_sees_the_same_studies() -> None:
    (setting,) = (one for one in SETTINGS if isinstance(one, Setting) and one.name == "small, 97.5 %")
    tallies = looks.simulate(replace(setting, seed_sd=0.001), 0.15 / 10, 6, (0, 0))
    assert {tally.studies for tally in tallies.values()} == {6}
    seeds = {name: tally.seeds / 6 for name, tally in tallies.items()}
    assert seeds["5 seeds"] == 5 <= seeds["added until decided"] <= seeds["--seeds auto"] <= seeds["20 seeds"] == 20
    assert tallies["added until decided"].right >= tallies["20 seeds"].right


@pytest.mark.slow
def test_looks_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert looks.main(["--quick", "--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert {row["rule"] for row in rows} == set(looks.RULES) and {row["studies"] for row in rows} == {20}
    for row in rows:
        assert row["right"] + row["wrong"] + row["equivalent"] <= 20 and 100 <= row["seeds"] <= 400
        assert row["right"] == 0 or row["difference"] > 0
    (far,) = (
        row
        for row in rows
        if (row["setting"], row["difference"], row["rule"]) == ("seeds far apart", 0.04, "--seeds auto")
    )
    assert far["right"] >= 17 and far["seeds"] < 300
    assert "mean seeds" in capsys.readouterr().out
