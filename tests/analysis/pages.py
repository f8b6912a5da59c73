"""Read tables and text back from the page of a report, and build pages with few figures or none."""

import html
import re
from typing import Any

import pytest
from matplotlib.figure import Figure

from analysis.figures import catalogue


def table(page: str, name: str) -> list[list[str]]:
    """Return the body of a table of the page, cell by cell."""
    found = re.search(rf'<table id="{name}"[^>]*>.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    assert found, f"there is no table {name}"
    rows = re.findall(r"<tr>(.*?)</tr>", found[1], re.DOTALL)
    return [[html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows]


def words(page: str) -> str:
    """Return the page's text, in which white space is one blank."""
    text = re.sub(r"<(style|script)>.*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"\s+", " ", text))


def leave_out_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reports be built without figures, which take most of a report's time."""
    monkeypatch.setattr("analysis.report.build.study_pictures", lambda *_: {})


def draw_only(monkeypatch: pytest.MonkeyPatch, *beginnings: str) -> None:
    """Let the figures of reports be empty, except those whose names begin so. Drawing takes most of a report's time."""
    draw = catalogue._both

    def draw_or_not(name: str, alt: str, *arguments: Any) -> catalogue.Picture:
        return draw(name, alt, *arguments) if name.startswith(beginnings) else catalogue.Picture(name, alt, Figure())

    monkeypatch.setattr(catalogue, "_both", draw_or_not)
