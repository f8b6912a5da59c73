"""The comparison in a terminal of 80 columns."""

import io

from rich.console import Console

from analysis.report.terminal import comparison
from analysis.verdict.summary_json import GroupSummary, Latency, Spread, Summary

HALF = Spread(mean=0.5, sd=0.1, ci95=(0.4, 0.6), values=[0.5])


def test_no_name_is_cut_where_every_number_is_wide() -> None:
    accuracy = Spread(mean=0.518, sd=0.133, ci95=(0.381, 0.652), values=[])
    latency = Latency(p50=12.34, p90=None, p99=None)
    titles = ["AlexNet, baseline", "MobileNet-like, baseline"]
    printed = io.StringIO()
    groups = {
        title: GroupSummary.model_construct(
            title=title, accuracy=accuracy, precision=HALF, recall=HALF, f1=HALF, latency_ms=latency
        )
        for title in titles
    }
    Console(file=printed, width=80).print(comparison(Summary(groups=groups, verdict=None, comparisons=[], budget={})))
    assert "…" not in printed.getvalue()
    assert "51.8 ±13.3" in printed.getvalue()
    assert {word for title in titles for word in title.split()} <= set(printed.getvalue().split())
