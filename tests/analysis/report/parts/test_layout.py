"""The page has contents that lead somewhere, words that are explained, and no empty sections."""

import re
from pathlib import Path

import pytest

from analysis.report.build import build_report
from analysis.report.parts.contents import contents
from analysis.report.parts.glossary import TERMS, explained, used_terms
from analysis.results.load import load_results
from analysis.results.study_folder import StudyFolder
from analysis.verdict.summary import summarise
from tests.analysis.example_study import write_example
from tests.analysis.pages import table, words


def page_of(folder: StudyFolder) -> str:
    return build_report(folder).read_text()


@pytest.mark.usefixtures("without_figures")
def test_contents_lead_to_every_heading_and_no_id_is_twice(tmp_path: Path) -> None:
    page = page_of(write_example(tmp_path / "s", seeds=2, confirm=True))
    identifiers = re.findall(r'\sid="([^"]*)"', page)
    assert len(identifiers) == len(set(identifiers))
    headings = re.findall(r'<h[23] id="([^"]*)"><a href="#\1">(.*?)</a></h[23]>', page)
    assert len(headings) == len(re.findall("<h[23]", page)), "each heading has a link to itself"
    listed = re.findall(r'<li><a href="#([^"]*)">(.*?)</a>', page)
    assert listed == headings
    assert {"Search space", "Trial lengths"} & {title for _, title in headings} == set(), "a part without figures"
    assert {"Early stopping", "Search budget", "Provenance", "To cite and reuse"} <= {title for _, title in headings}
    labels = re.findall(r'aria-labelledby="([^"]*)"', page)
    assert set(labels) <= set(identifiers)


def test_contents_nest_by_level() -> None:
    (first, second) = contents('<h2 id="a">A</h2><h3 id="b">B</h3><h3 id="c">C</h3><h2 id="d">D &amp; E</h2>')
    assert ([part.id for part in first.below], second.title, second.below) == (["b", "c"], "D &amp; E", [])


@pytest.mark.usefixtures("without_figures")
def test_words_are_explained_where_they_stand_and_in_the_glossary(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "s", seeds=2)
    page = page_of(folder)
    assert f'<abbr title="{TERMS["p50"]}">latency p50</abbr>' in page
    assert "below the margin does not matter. The margin, settled before the search, is 0.5 percentage points." in page
    glossary = page[page.index('<section aria-labelledby="glossary">') :]
    assert {"score", "rung", "cap", "seed", "interval", "p50"} <= set(re.findall("<dt>(.*?)</dt>", glossary))
    alone = page_of(write_example(tmp_path / "alone", seeds=2, search=False))
    assert "<dt>rung</dt>" not in alone and "<dt>seed</dt>" in alone, "only the words of this page"


def test_the_longest_term_explains_a_heading() -> None:
    assert explained("Holm\N{NO-BREAK SPACE}p").startswith('<abbr title="A p value corrected')
    assert explained("<i>") == "&lt;i&gt;"
    assert list(used_terms("<p>Two rungs at p90.</p><pre>seed</pre>")) == ["p90", "rung"]


@pytest.mark.usefixtures("without_figures")
def test_long_tables_can_be_sorted_and_are_folded(tmp_path: Path) -> None:
    page = page_of(write_example(tmp_path / "s", seeds=2))
    assert page.count("<script>") == 1 and 'querySelectorAll("table.sortable")' in page
    assert re.findall(r'<table id="([^"]*)" class="sortable">', page) == ["per-class", "trials"]
    for name in ("per-class", "trials"):
        before = page[: page.index(f'<table id="{name}"')]
        assert before.rindex("<details>") > before.rindex("</section>")
    assert {row[3] for row in table(page, "trials")} >= {"stopped at a rung", "out of patience"}


def test_dark_and_print_have_styles_of_their_own() -> None:
    css = (Path(__file__).parents[4] / "analysis" / "report" / "templates" / "report.css").read_text()
    dark = css[css.index("prefers-color-scheme: dark") :].partition("}\n}")[0]
    light = css.partition("@media")[0]
    assert {"--ink", "--paper", "--tint", "--line", "--soft"} <= set(re.findall(r"--[\w-]+(?=:)", dark))
    # A figure names its own light colour beside each of the variables that begin so.
    assert set(re.findall(r"--(?!figure)[\w-]+(?=:)", dark)) <= set(re.findall(r"--[\w-]+(?=:)", light))
    assert "table-header-group" in css[css.index("@media print") :], "a heading on each printed page"
    assert set(re.findall(r"var\((--[\w-]+)\)", css)) <= set(re.findall(r"--[\w-]+(?=:)", light))


@pytest.mark.usefixtures("without_figures")
def test_a_group_has_one_name_and_one_row(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "s", seeds=2, same_as=["mobilenet"])
    page = page_of(folder)
    assert [row[0] for row in table(page, "quality")] == [
        "AlexNet (baseline)",
        "AlexNet (tuned)",
        "MobileNet-like (tuned = baseline)",
    ]
    assert "MobileNet-like (baseline)" not in page and "AlexNet, " not in page
    titles = {group.title for group in summarise(load_results(folder)).groups.values()}
    assert titles == {row[0] for row in table(page, "quality")}


@pytest.mark.usefixtures("without_figures")
def test_the_provenance_says_when_how_long_and_with_which_code(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "s", seeds=2, search=False)
    shown = words(page_of(folder))
    assert "Begun 2025-01-02 03:04 UTC Training time 15 s, as the sum over all runs" in shown
    assert "Ended" not in shown and "Training code" not in shown and "Version" not in shown, "an older study"
    study = folder.read_study()
    data = study["data"] | {"notes": ["2 files are not read: 1 .heic and 1 <b>"]}
    folder.write_study(study | {"environment": study["environment"] | {"version": "0.3.1"}, "data": data})
    for number, run in enumerate([("alexnet-baseline", 0), ("alexnet-baseline", 1), ("mobilenet-baseline", 0)]):
        final = folder.final.read(*run, weights=True)
        final.metrics.update(kernels="fast" if number else "torch", ended=f"2025-01-02T05:0{number}:05+00:00")
        folder.final.write(final)
    shown = words(page_of(folder))
    assert "Ended 2025-01-02 05:02 UTC, after 1 h 58 min" in shown
    assert "the fast code of this project in 2 of 3 final runs, torch's layers in 1 of 3 final runs" in shown
    assert "Version fairverdict 0.3.1" in shown
    assert "Note on the data 2 files are not read: 1 .heic and 1 &lt;b&gt;" in shown.replace("<b>", "&lt;b&gt;")
