"""Builds the report of a study from its folder alone."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from analysis.collector import without_garbage_collection
from analysis.figures.catalogue import Picture, study_pictures
from analysis.figures.drawing.files import inline_svg, render, render_all
from analysis.figures.drawing.renderer import KINDS
from analysis.report import digest, search_tables, tables
from analysis.report.exports import csv_files, documents
from analysis.report.exports.methods import methods
from analysis.report.exports.references import bibtex, used_references
from analysis.report.page import PARTS, Page, ShownPicture, render_page
from analysis.report.parts.classes import class_table
from analysis.report.parts.probabilities import calibration_table, metric_differences_table
from analysis.report.parts.provenance import kernels_used, times
from analysis.results.errors import UnusableStudy
from analysis.results.files import json_text, write_bytes, write_csv, write_json, write_text
from analysis.results.load import StudyResults, load_results
from analysis.results.study_folder import StudyFolder
from analysis.verdict.shipping.best_weights import weights_to_ship
from analysis.verdict.summary import comparison_table, summarise
from analysis.verdict.summary_json import Summary


def build_report(folder: StudyFolder) -> Path:
    """Write report/ of a study, finished or not, from the rest of its folder. The same study gives the same report.

    Also write final/best.json, which names the weights to ship; remove it if there is no winner.

    Returns:
        The path of report.html.

    Raises:
        UnusableStudy: if its groups were judged on different test images.
        DamagedFile: if a file cannot be read; the message names it.
    """
    with without_garbage_collection():
        return _build(folder)


def _build(folder: StudyFolder) -> Path:
    results = load_results(folder)
    _refuse_different_test_sets(results)
    summary = summarise(results)
    best = weights_to_ship(results, summary, folder)
    folder.write_best(asdict(best) if best else None)
    write_json(folder.report / "summary.json", summary.as_json())
    write_text(folder.report / "comparison.csv", comparison_table(summary).to_csv(index=False, lineterminator="\n"))
    pictures = study_pictures(results, summary)
    shown = {part: [_save(folder.report, picture) for picture in members] for part, members in pictures.items()}
    _remove_others(folder.report, {picture.name for members in pictures.values() for picture in members})
    made = _tables(folder, results, summary)
    paragraph, references = methods(results, summary), bibtex(used_references(results, summary))
    _export(folder.report, results, summary, made)
    write_text(folder.report / "methods.txt", f"{paragraph}\n")
    write_text(folder.report / "references.bib", references)
    page = Page(
        results=results,
        summary=summary,
        tables={table.name: table for table in made},
        pictures={part: shown.get(part, []) for part in PARTS},
        best=best,
        missing=digest.missing_parts(results),
        resumed=digest.resumed_sessions(results.study),
        failed=digest.failed_runs(summary),
        verdict=digest.verdict_digest(summary),
        comparisons=digest.comparison_digest(results, summary),
        caveats=summary.caveats,
        searched=digest.searched(results.study),
        rungs=search_tables.study_rungs(results.study),
        times=times(results),
        kernels=kernels_used(results),
        methods=paragraph,
        bibtex=references,
    )
    write_text(folder.report / "report.html", render_page(page))
    return folder.report / "report.html"


def is_current(folder: StudyFolder) -> bool:
    """Return whether the report is there, with the numbers that `build_report` would give it now.

    Raises:
        DamagedFile: if a file cannot be read; the message names it.
    """
    summary = folder.report / "summary.json"
    if not (folder.report / "report.html").is_file() or not summary.is_file():
        return False
    return summary.read_bytes() == json_text(summarise(load_results(folder)).as_json()).encode()


def _tables(folder: StudyFolder, results: StudyResults, summary: Summary) -> list[tables.Table]:
    """Return the tables of the page; the tables of the search only if something was searched."""
    made = [
        tables.comparisons_table(results, summary),
        tables.quality_table(results, summary),
        tables.cost_table(results, summary),
        class_table(results),
        metric_differences_table(results),
        calibration_table(results),
    ]
    if len(results.trials):
        made += [
            search_tables.search_table(results),
            search_tables.confirmation_table(results),
            search_tables.rungs_table(results),
            search_tables.importance_table(results, summary),
            search_tables.trials_table(results),
            search_tables.budget_table(results, summary),
        ]
    return made


def _export(report: Path, results: StudyResults, summary: Summary, made: Sequence[tables.Table]) -> None:
    """Write the tables for papers and other programs. The lists of all trials and classes are CSV files alone."""
    write_csv(report / "comparisons.csv", csv_files.comparisons(results, summary))
    write_csv(report / "per-class.csv", csv_files.per_class(results))
    write_csv(report / "confusion.csv", csv_files.confusion(results))
    short = [table for table in made if table.name not in ("trials", "per-class")]
    write_text(report / "tables.md", documents.markdown(short))
    write_text(report / "tables.tex", documents.latex(short))


def _refuse_different_test_sets(results: StudyResults) -> None:
    runs = [run for group in results.groups.values() for run in group.runs]
    for run in runs[1:]:
        if not np.array_equal(run.labels, runs[0].labels):
            raise UnusableStudy(
                f"{run.group} (seed {run.seed}) and {runs[0].group} (seed {runs[0].seed}) were judged on different"
                " test images and cannot be compared: remove the runs of one of them"
            )


def _save(directory: Path, picture: Picture) -> ShownPicture:
    """Write a figure as files, and return its form on the page."""
    files = render_all(picture.wide)
    for kind, content in files.items():
        write_bytes(directory / f"{picture.name}.{kind}", content)
    narrow = picture.narrow
    return ShownPicture(
        name=picture.name,
        wide=inline_svg(files["svg"], picture.name, picture.alt),
        narrow=inline_svg(render(narrow, "svg"), f"{picture.name}-narrow", picture.alt) if narrow else None,
    )


def _remove_others(directory: Path, names: set[str]) -> None:
    """Remove the figures of an earlier report that this report does not have."""
    for path in directory.iterdir():
        if path.suffix.removeprefix(".") in KINDS and path.stem not in names:
            path.unlink()
