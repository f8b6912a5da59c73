"""The end of a study in a terminal of 80 columns."""

import io
from pathlib import Path

from rich.console import Console

from analysis.report.terminal import closing, comparison
from analysis.verdict.summary_json import Caveat, Grade, GroupSummary, Latency, Spread, Summary

SUMMARY = Summary(
    groups={},
    verdict=None,
    comparisons=[],
    budget={},
    call="better",
    label="better, but training was cut short",
    headline="AlexNet is more accurate than MobileNet-like.",
    accuracies="Test accuracy: AlexNet 97 %, MobileNet-like 65 %. AlexNet is 32 points ahead (95 % interval 30 to 34).",
    price="AlexNet takes 19 times as long as MobileNet-like for one image on this study's CPU and has 460 times"
    " as many parameters.",
    doubt=["The cap ended ten runs."],
    caveats=[
        Caveat(grade=Grade.COULD_OVERTURN, text="The cap ended ten runs.", label="but training was cut short"),
        Caveat(grade=Grade.WEAKENS, text="The time was not steady."),
        Caveat(grade=Grade.WEAKENS, text="Five runs rule out little."),
        Caveat(grade=Grade.FOR_INFORMATION, text="Some trials scored below."),
    ],
)
HALF = Spread(mean=0.5, sd=0.1, ci95=(0.4, 0.6), values=[0.5])


def test_no_name_is_cut_where_every_number_is_wide() -> None:
    accuracy = Spread(mean=0.518, sd=0.133, ci95=(0.381, 0.652), values=[])
    latency = Latency(p50=12.34, p90=None, p99=None)
    titles = ["AlexNet (baseline)", "MobileNet-like (baseline)"]
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


def _printed(summary: Summary, report: Path, database: Path | None, is_terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=is_terminal, width=80)
    for line in closing(summary, report, database):
        console.print(line, highlight=False, soft_wrap=True)
    return stream.getvalue()


def test_the_last_lines_are_the_verdict_the_price_two_limits_and_the_links(tmp_path: Path) -> None:
    folder = tmp_path / "a study"
    printed = _printed(SUMMARY, folder / "report.html", folder / "optuna.db", is_terminal=False)
    *lines, dashboard, report = printed.splitlines()
    assert lines == [
        "Verdict: better, but training was cut short",
        "AlexNet is more accurate than MobileNet-like. Test accuracy: AlexNet 97 %,",
        "MobileNet-like 65 %. AlexNet is 32 points ahead (95 % interval 30 to 34).",
        "AlexNet takes 19 times as long as MobileNet-like for one image on this study's",
        "CPU and has 460 times as many parameters.",
        "Could overturn the result: The cap ended ten runs.",
        "Weakens the result: The time was not steady.",
        "The report lists 2 more limits of this result.",
    ]
    assert dashboard == f"Search in a browser: optuna-dashboard 'sqlite:///{folder}/optuna.db'"
    assert report == f"Report: {folder}/report.html"


def test_a_path_is_a_hyperlink_where_there_is_a_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "a study"
    printed = _printed(SUMMARY, folder / "report.html", folder / "optuna.db", is_terminal=True)
    for name in ("report.html", "optuna.db"):
        assert f";{(folder / name).as_uri()}\x1b\\" in printed
    assert f"{folder}/report.html\x1b]8;;" in printed


def test_without_a_verdict_or_a_search_there_is_no_line_about_them(tmp_path: Path) -> None:
    nothing = Summary(groups={}, verdict=None, comparisons=[], budget={}, headline="There is no verdict.")
    lines = _printed(nothing, tmp_path / "report.html", None, is_terminal=False).splitlines()
    assert lines == ["There is no verdict.", f"Report: {tmp_path}/report.html"]
    limited = nothing.model_copy(update={"caveats": SUMMARY.caveats[3:]})
    assert [line.plain for line in closing(limited, tmp_path, None)][1] == "The report lists 1 limit of this result."
