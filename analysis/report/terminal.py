"""The comparison as a terminal shows it."""

from typing import Any

from rich import box
from rich.table import Table


def comparison(summary: dict[str, Any]) -> Table:
    """A row a group of summary.json, percentages on the test set; fits 80 columns."""
    table = Table(
        title="On the test set, in percent: mean and deviation over seeds, 95 % interval",
        box=box.SIMPLE,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title_justify="left",
    )
    table.add_column("")
    for heading in ("accuracy", "interval", "precision", "recall", "F1", "ms/image"):
        table.add_column(heading, justify="right", no_wrap=True)
    for group in summary["groups"].values():
        low, high = group["accuracy"]["ci95"]
        sd = group["accuracy"]["sd"]
        latency = group["latency_ms"]["p50"]
        table.add_row(
            group["title"],
            _percent(group["accuracy"]["mean"]) + ("" if sd is None else f" ±{100 * sd:.1f}"),
            "" if low is None else f"{_percent(low)}-{_percent(high)}",
            *(_percent(group[metric]["mean"]) for metric in ("precision", "recall", "f1")),
            "" if latency is None else f"{latency:.2f}",
        )
    return table


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"
