"""The comparison in a terminal of 80 columns."""

import io

from rich.console import Console

from analysis.report.terminal import comparison

SHARES = {"precision": {"mean": 0.5}, "recall": {"mean": 1.0}, "f1": {"mean": 0.5}, "latency_ms": {"p50": 12.34}}


def test_no_name_is_cut_where_every_number_is_wide() -> None:
    accuracy = {"mean": 0.518, "sd": 0.133, "ci95": [0.381, 0.652]}
    titles = ["AlexNet, baseline", "MobileNet-like, baseline"]
    printed = io.StringIO()
    groups = {title: {"title": title, "accuracy": accuracy, **SHARES} for title in titles}
    Console(file=printed, width=80).print(comparison({"groups": groups}))
    assert "…" not in printed.getvalue()
    assert "51.8 ±13.3" in printed.getvalue()
    assert {word for title in titles for word in title.split()} <= set(printed.getvalue().split())
