"""Read tables and text back from the page of a report, and build pages without figures."""

import html
import re

import pytest


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
