"""The report of a study, rebuilt from its folder alone: `python -m analysis.report DIR`."""

import argparse
import base64
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.drawing import render
from analysis.pictures import Picture, chosen_trials, listed, study_pictures
from analysis.results import VARIANTS, StudyResults, load_results
from analysis.summary import comparison_table, summarise
from study.errors import BadInput
from study.files import DamagedFile, write_atomically, write_json, write_text
from study.folder import StudyFolder

_STATUSES = ("COMPLETE", "STOPPED_EARLY", "PRUNED", "DIVERGED", "FAILED")
_SI = (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))
_MISSING = "\N{EN DASH}"
# Fewer test images than this do not carry a second decimal of a percentage.
_TWO_DECIMALS_FROM = 1000


def build_report(folder: StudyFolder) -> Path:
    """Writes report/ of a study, finished or not, from what else lies in its folder; the same each time.

    Returns:
        The path of report.html.

    Raises:
        BadInput: if its groups were judged on different test images.
        DamagedFile: if a file cannot be read; the message names it.
    """
    results = load_results(folder)
    _refuse_different_test_sets(results)
    summary = summarise(results)
    table = comparison_table(summary)
    pictures = study_pictures(results, summary)
    write_json(folder.report / "summary.json", summary)
    write_text(folder.report / "comparison.csv", table.to_csv(index=False, lineterminator="\n"))
    shown = {part: [_save(folder.report, picture) for picture in members] for part, members in pictures.items()}
    page = (
        _environment(results)
        .get_template("report.html.j2")
        .render(
            results=results,
            study=results.study,
            config=results.study["config"],
            summary=summary,
            rows=table.to_dict("records"),
            pictures=shown,
            missing=missing_parts(results),
            diverged=_diverged_runs(results),
            search=_search_digest(results),
            trials=results.trials.to_dict("records"),
        )
    )
    write_text(folder.report / "report.html", page)
    return folder.report / "report.html"


def missing_parts(results: StudyResults) -> list[str]:
    """What a finished study of this configuration would hold and this one does not, a sentence each."""
    config, missing = results.study["config"], []
    for arch, title in results.architectures.items():
        done = int((results.trials["arch"] == arch).sum()) if len(results.trials) else 0
        if not config["baseline"] and done < config["trials"]:
            missing.append(f"{title}: {done} of {config['trials']} trials of the search are there.")
        for variant in VARIANTS[:1] if config["baseline"] else VARIANTS:
            group = results.groups.get(f"{arch}-{variant}")
            if group is None:
                missing.append(f"{title}, {variant}: no final run is there.")
            elif absent := sorted(set(range(config["seeds"])) - set(group.seeds)):
                missing.append(f"{group.title}: seeds without a final run: {listed(absent)}.")
    if not results.latency:
        missing.append("The time of a prediction was not measured.")
    return missing


def _refuse_different_test_sets(results: StudyResults) -> None:
    runs = [run for group in results.groups.values() for run in group.runs]
    for run in runs[1:]:
        if not np.array_equal(run.labels, runs[0].labels):
            raise BadInput(
                f"{run.group} (seed {run.seed}) and {runs[0].group} (seed {runs[0].seed}) were judged on different"
                " test images: they cannot be compared"
            )


def _diverged_runs(results: StudyResults) -> list[str]:
    return [
        f"{group.title}, seed {run.seed}"
        for group in results.groups.values()
        for run in group.runs
        if run.metrics["status"] == "DIVERGED" and not group.same_as
    ]


def _search_digest(results: StudyResults) -> list[dict[str, Any]]:
    """A row an architecture: how its trials ended, and which of them gave its tuned configuration."""
    if not len(results.trials):
        return []
    chosen, digest = chosen_trials(results), []
    for arch, title in results.architectures.items():
        trials = results.trials[results.trials["arch"] == arch]
        row = trials[trials["trial_id"] == chosen.get(arch)].to_dict("records")
        ended = [int((trials["status"] == status).sum()) for status in _STATUSES]
        digest.append({"title": title, "trials": len(trials), "ended": ended, "chosen": row[0] if row else None})
    return digest


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


def _embedded(svg: bytes, figure: Figure) -> dict[str, Any]:
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return {"src": f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}", "width": width, "height": height}


def _environment(results: StudyResults) -> jinja2.Environment:
    """Templates with the formats of the page; whatever is missing is a dash."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    digits = 2 if results.study["data"]["n_test"] >= _TWO_DECIMALS_FROM else 1

    def percent(value: Any) -> str:
        return _MISSING if pd.isna(value) else f"{100 * value:.{digits}f}"

    def accuracy(row: dict[str, Any]) -> str:
        deviation = "" if pd.isna(row["accuracy_sd"]) else f" ± {percent(row['accuracy_sd'])}"
        return percent(row["accuracy"]) + deviation

    def interval(row: dict[str, Any]) -> str:
        low, high = row["accuracy_low"], row["accuracy_high"]
        return _MISSING if pd.isna(low) else f"[{percent(low)}, {percent(high)}]"

    def number(value: Any, form: str = ",.3g") -> str:
        return _MISSING if pd.isna(value) else format(value, form)

    def si(value: Any) -> str:
        if pd.isna(value):
            return _MISSING
        prefix, unit = next(((prefix, unit) for prefix, unit in _SI if value >= unit), ("", 1))
        return f"{value / unit:.3g} {prefix}".strip()

    filters = {"percent": percent, "accuracy": accuracy, "interval": interval, "number": number, "si": si}
    environment.filters.update(filters, listed=listed)
    return environment


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m analysis.report", description="Rebuild the report of a study.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder of the study")
    try:
        print(build_report(StudyFolder.open(parser.parse_args(arguments).folder)))
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (DamagedFile, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
