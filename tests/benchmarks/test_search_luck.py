"""The benchmark of intervals over searches, on surfaces that are smoothed over recorded curves."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import repeated_searches, search_luck
from benchmarks.smoothed_curves import PLACES, Truth
from benchmarks.surface_searches import real_luck
from models.networks.registry import ARCHITECTURES


@pytest.mark.slow
def test_the_short_form_counts_both_intervals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search_luck.main(["--quick", "--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert {(row["trials"], row["confirm"], row["images"]) for row in rows} == {(8, 3, 600), (8, 3, "all")}
    assert [row["seeds"] for row in rows] == [*search_luck.SEEDS] * 2
    for row in rows:
        assert row["pairs"] == 12 * 12
        assert row["given"] <= row["over"]
        assert row["wider"] >= 1
    assert rows[2]["given"] < 0.95, "20 seeds leave almost only the luck of the search, which this interval lacks"
    printed = capsys.readouterr().out
    assert "over searches" in printed
    assert "mobilenet, 600 images, 8 trials: luck" in printed


@pytest.mark.slow
def test_this_projects_own_search_runs_on_the_surfaces() -> None:
    truth = Truth.of("mobilenet", 600)
    chosen = real_luck(truth, 3, 2, 2, np.random.default_rng(0))
    top = truth.surface(PLACES.spread(512, np.random.default_rng(0))).max()
    assert ((chosen > 0.1) & (chosen < top + 0.02)).all()


@pytest.mark.parametrize("arch", list(ARCHITECTURES))
def test_a_smoothed_surface_follows_the_recorded_scores(arch: str) -> None:
    truth = Truth.of(arch, 1_800)
    scores = truth.surface(truth.places)
    noise = truth.noise(truth.places)
    assert len(scores) == 49
    assert ((noise > 0.005) & (noise < 0.06)).all()
    assert 0.1 < scores.min() < scores.max() < 0.6
    # The best recorded score has luck in it, so the surface lies below.
    assert scores.max() < 0.55
    assert truth.baseline["lr"] == 1e-3


def test_shares_of_rows_that_share_a_search_have_a_larger_error() -> None:
    rng = np.random.default_rng(0)
    apart = [{"a": n, "b": n, "over": rng.random() < 0.9} for n in range(400)]
    held = rng.random(20) < 0.9
    together = [{"a": a, "b": b, "over": held[a]} for a in range(20) for b in range(20)]
    assert search_luck._share(apart, "over")[1] == pytest.approx(np.sqrt(2 * 0.09 / 400), rel=0.3)
    assert search_luck._share(together, "over")[1] == pytest.approx(held.std(ddof=1) / np.sqrt(20))


@pytest.mark.slow
def test_the_short_form_counts_intervals_over_repeated_searches(tmp_path: Path) -> None:
    assert repeated_searches.main(["--quick", "--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["searches"], row["seeds"]) for row in rows] == [
        (count, n_seeds) for count in repeated_searches.SEARCHES for n_seeds in repeated_searches.SEEDS
    ]
    assert all(0.9 < row["holds"] <= 1 for row in rows)
    widths = [row["half_width"] for row in rows]
    assert widths[0] > 2 * widths[2] > 2 * widths[4], "a study more is worth most where there are few"
