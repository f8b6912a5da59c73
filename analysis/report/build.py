"""The report of a study, rebuilt from its folder alone: `python -m analysis.report DIR`."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.catalogue import Picture, study_pictures
from analysis.figures.style import render
from analysis.report import digest
from analysis.report.page import render_page
from analysis.results.files import json_text, write_atomically, write_json, write_text
from analysis.results.load import StudyResults, load_results
from analysis.results.study_folder import StudyFolder
from analysis.results.study_json import check_study
from analysis.statistics.importance import read_importances
from analysis.verdict.best_weights import weights_to_ship
from analysis.verdict.caveat_sentences import caveats
from analysis.verdict.summary import comparison_table, summarise
from study.errors import BadInput


def build_report(folder: StudyFolder) -> Path:
    """Writes report/ of a study, finished or not, from what else lies in its folder; the same each time.

    Beside it, final/best.json names the weights to ship if there is a winner, and is removed if there is none.

    Returns:
        The path of report.html.

    Raises:
        BadInput: if its groups were judged on different test images.
        DamagedFile: if a file cannot be read; the message names it.
    """
    check_study(folder)
    results = load_results(folder)
    _refuse_different_test_sets(results)
    summary = summarise(results)
    table = comparison_table(summary)
    best = weights_to_ship(results, summary, folder)
    folder.write_best(best)
    write_json(folder.report / "summary.json", summary)
    write_text(folder.report / "comparison.csv", table.to_csv(index=False, lineterminator="\n"))
    pictures = study_pictures(results, summary)
    shown = {part: [_save(folder.report, picture) for picture in members] for part, members in pictures.items()}
    _remove_others(folder.report, {picture.name for members in pictures.values() for picture in members})
    page = render_page(
        n_test=results.study["data"]["n_test"],
        results=results,
        study=results.study,
        config=results.study["config"],
        summary=summary,
        rows=table.to_dict("records"),
        pictures=shown,
        best=best,
        missing=digest.missing_parts(results),
        resumed=digest.resumed_sessions(results.study),
        diverged=digest.diverged_runs(results),
        verdict=digest.verdict_digest(results, summary),
        comparisons=digest.comparison_digest(results, summary),
        caveats=caveats(results),
        search=digest.search_digest(results, _importances(folder, results)),
        confirmed=digest.confirmation_digest(results),
        fairness=digest.fairness_digest(results, summary),
        trials=results.trials.to_dict("records"),
    )
    write_text(folder.report / "report.html", page)
    return folder.report / "report.html"


def is_current(folder: StudyFolder) -> bool:
    """Whether the report is there, with the numbers that `build_report` would give it from the folder as it is now.

    Raises:
        DamagedFile: if a file cannot be read; the message names it.
    """
    summary = folder.report / "summary.json"
    if not (folder.report / "report.html").is_file() or not summary.is_file():
        return False
    return summary.read_bytes() == json_text(summarise(load_results(folder))).encode()


def _importances(folder: StudyFolder, results: StudyResults) -> dict[str, Any]:
    return read_importances(folder.optuna, results.architectures) if len(results.trials) else {}


def _refuse_different_test_sets(results: StudyResults) -> None:
    runs = [run for group in results.groups.values() for run in group.runs]
    for run in runs[1:]:
        if not np.array_equal(run.labels, runs[0].labels):
            raise BadInput(
                f"{run.group} (seed {run.seed}) and {runs[0].group} (seed {runs[0].seed}) were judged on different"
                " test images: they cannot be compared"
            )


def _save(directory: Path, picture: Picture) -> dict[str, Any]:
    """Writes a figure as files; returns what the page needs of it."""
    svg, png = render(picture.wide, "svg"), render(picture.wide, "png")
    write_atomically(directory / f"{picture.name}.svg", lambda file: file.write(svg))
    write_atomically(directory / f"{picture.name}.png", lambda file: file.write(png))
    narrow = picture.narrow
    return {
        "name": picture.name,
        "alt": picture.alt,
        "wide": _embedded(svg, picture.wide),
        "narrow": _embedded(render(narrow, "svg"), narrow) if narrow else None,
    }


def _remove_others(directory: Path, names: set[str]) -> None:
    """Removes the figures of an earlier report that this one does not have."""
    for path in directory.iterdir():
        if path.suffix in (".svg", ".png") and path.stem not in names:
            path.unlink()


def _embedded(svg: bytes, figure: Figure) -> dict[str, Any]:
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return {"src": f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}", "width": width, "height": height}
