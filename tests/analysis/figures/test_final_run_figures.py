"""Figures of the final runs take whatever a study can hold; what can be counted in them is counted."""

from typing import Any

import numpy as np
import pytest

from analysis.figures.drawing.files import render
from analysis.figures.drawing.style import COLOURS, PAPER
from analysis.figures.final_runs import Paired, accuracy_by_group, paired_differences, trade_offs
from analysis.verdict.summary_json import GroupSummary, Latency, Spread
from tests.analysis.drawn import ODD, curves, overlaps, texts, visible

SPREAD = Spread(mean=0.9, sd=0.01, ci95=(0.8, 0.95), values=[0.89, 0.91])


def group(p50: float | None = 2.0, **changed: Any) -> GroupSummary:
    """Return a group of summary.json."""
    latency = Latency(p50=p50, p90=None, p99=None)
    made: dict[str, Any] = {"title": "A", "arch": "a", "variant": "tuned", "accuracy": SPREAD, "latency_ms": latency}
    made["seeds"] = list(range(len(changed.get("accuracy", SPREAD).values)))
    return GroupSummary.model_construct(**made | {"parameters": 1000, "macs": 5_000_000} | changed)


def test_accuracy_shows_every_seed_the_mean_and_its_interval() -> None:
    one_seed = Spread(mean=0.7, sd=None, ci95=(None, None), values=[0.7])
    groups = {"a-tuned": group(), "b-tuned": group(title="$B$", arch="b", accuracy=one_seed)}
    figure = accuracy_by_group(groups, ["a", "b"])
    drawn = [np.round(x, 6).tolist() for x, _ in curves(figure.axes[0])]
    assert drawn[:3] == [[89, 91], [90], [80, 95]]
    assert drawn[3:5] == [[70], [70]]
    titles = {"A, seed 1: 91.00 %", "A, mean: 90.00 % (95 % interval 80.00 to 95.00 %)", "$B$, mean: 70.00 %"}
    assert {"A", "$B$", "test accuracy (%)"} | titles <= set(texts(figure))
    assert "no final runs" in texts(accuracy_by_group({}, [], columns=1))


def test_paired_differences_show_every_seed_the_mean_and_its_interval() -> None:
    paired = Paired(("A $", "B"), {0: 0.01, 3: -0.02}, -0.005, (-0.05, 0.04), 0.005)
    figure = paired_differences([paired])
    (ax,) = figure.axes
    assert {"seed 3: \N{MINUS SIGN}2.00 points", "mean: \N{MINUS SIGN}0.50 points"} <= set(texts(figure))
    drawn = [(x, np.round(y, 6).tolist()) for x, y in curves(ax)[1:]]
    assert drawn == [([0, 1], [1, -2]), ([2.5], [-0.5]), ([2.5, 2.5], [-5, 4])]
    (band,) = ax.patches
    assert band.get_extents().transformed(ax.transData.inverted()).intervaly.tolist() == pytest.approx([-0.5, 0.5])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0", "3", "mean"]
    assert {"A $", "\N{MINUS SIGN} B", "seed", "percentage points"} <= set(texts(figure))


@pytest.mark.parametrize("seeds", [1, 20, 60])
def test_paired_differences_of_any_number_of_seeds(seeds: int) -> None:
    paired = Paired((ODD[5], ODD[5]), dict.fromkeys(range(seeds), 0.0), 0.0, None if seeds == 1 else (-0.1, 0.1), 0.0)
    for count in (0, 1, 4):
        render(paired_differences([paired] * count, columns=1), "svg")
    assert len(paired_differences([paired]).axes[0].get_xticks()) <= 13


@pytest.mark.parametrize("columns", [1, 2])
def test_titles_and_ticks_of_paired_differences_have_room(columns: int) -> None:
    sides = "MobileNet-like, width 0.5, with a tail (tuned)", "MobileNet-like, width 0.5, with a tail (baseline)"
    for seeds in (12, 19, 48, 200):
        figure = paired_differences([Paired(sides, dict.fromkeys(range(seeds), 0.0), 0.0, None, 0.005)] * 2, columns)
        figure.draw_without_rendering()
        ax = figure.axes[0]
        assert overlaps(ax.get_xticklabels()) == []
        assert ax.title.get_window_extent().x1 <= (figure.bbox.x1 if columns == 1 else figure.axes[1].bbox.x0)


def test_trade_offs_mark_the_front_and_say_what_was_not_measured() -> None:
    one_seed = Spread(mean=0.7, sd=None, ci95=(None, None), values=[0.7])
    cheap = group(None, title="$B$", arch="b", variant="baseline", parameters=10, accuracy=one_seed)
    figure = trade_offs({"a-tuned": group(None), "b-baseline": cheap}, ["a", "b"], {("a-tuned", "b-baseline")})
    latency, parameters, macs = figure.axes
    assert curves(parameters)[-1] == ([1000, 10], [90, 70])
    assert curves(macs)[-1] == ([5_000_000], [90]), "as cheap and worse is not on the front"
    assert curves(latency) == [([], [])]
    assert {"not measured", "parameters", "multiply-accumulates an image", "$B$", "Pareto front"} <= set(texts(figure))
    render(trade_offs({}, [], set(), columns=1), "png")


@pytest.mark.parametrize("latencies", [(0.41, 0.36), (1.0, 0.9), (0.2, 0.2), (4.91, 0.54), (0.05, 80.0)])
def test_a_cost_axis_has_ticks_that_can_be_read(latencies: tuple[float, float]) -> None:
    groups = {
        f"{arch}-tuned": group(latency, title=arch, arch=arch) for arch, latency in zip("ab", latencies, strict=True)
    }
    for columns in (1, 2):
        figure = trade_offs(groups, ["a", "b"], set(), columns)
        figure.draw_without_rendering()
        shown = visible(figure.axes[0].xaxis)
        assert len(shown) >= 2
        assert overlaps(shown) == []


def test_a_colour_is_a_network_and_an_open_marker_a_baseline() -> None:
    groups = {"b-baseline": group(arch="b", variant="baseline"), "b-tuned": group(arch="b")}
    for figure in (accuracy_by_group(groups, ["a", "b"]), trade_offs(groups, ["a", "b"], set())):
        points = [line for line in figure.axes[0].lines if line.get_markersize() in (7, 7.5)]
        means = [line for line in points if line.get_marker() == "s"]
        assert [(line.get_color(), line.get_markerfacecolor()) for line in means] == [
            (COLOURS[1], PAPER),
            (COLOURS[1], COLOURS[1]),
        ]
