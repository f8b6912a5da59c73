"""The comparison as a terminal shows it."""

from rich import box
from rich.table import Table

from analysis.numbers import percent
from analysis.verdict.summary_json import Summary


def comparison(summary: Summary) -> Table:
    """Return a row a group, in percent on the test set; the table fits 80 columns."""
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
    for group in summary.groups.values():
        accuracy, latency = group.accuracy, group.latency_ms.p50
        low, high = accuracy.ci95
        table.add_row(
            group.title,
            percent(accuracy.mean) + ("" if accuracy.sd is None else f" ±{percent(accuracy.sd)}"),
            "" if low is None else f"{percent(low)}-{percent(high)}",
            *(percent(metric.mean) for metric in (group.precision, group.recall, group.f1)),
            "" if latency is None else f"{latency:.2f}",
        )
    return table
