"""Opens the study of analysis/results.ipynb, and shows the parts of its report in a notebook."""

import io
import os
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from IPython.display import Image, Markdown, display
from PIL import Image as PillowImage

from analysis.figures.catalogue import Picture
from analysis.figures.drawing.files import render
from analysis.numbers import listed
from analysis.paths import user_path
from analysis.report.tables import Column, Table, hyperparameter_columns
from analysis.results.load import VARIANTS, StudyResults
from analysis.results.study_folder import StudyFolder
from analysis.verdict.best_weights import BestWeights, what_to_expect
from analysis.verdict.caveats.own_settings import own_settings_sentence

with warnings.catch_warnings():
    # Nothing here shows Optuna's progress bars, but in a notebook their import warns if ipywidgets is missing.
    warnings.filterwarnings("ignore", message="IProgress not found")
    from analysis.report.search_tables import importance_table, rungs_table, search_table
    from analysis.statistics.importance import read_importances

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "tests" / "example-study"

_NOTHING = "This study has nothing to show here."
# Flags of study.run that say where a study is kept.
_PLACES = ("--results-dir", "--name")


def open_study() -> StudyFolder:
    """Open the study whose path is in the environment variable STUDY, else the newest study, else the example.

    The newest study is in ./results of the working directory, or else of the repository.

    Raises:
        UnusableStudy: if STUDY names no study.
    """
    if named := os.environ.get("STUDY"):
        return StudyFolder.open(user_path(named))
    for results_dir in (Path("results"), ROOT / "results"):
        if any(results_dir.glob("*/study.json")):
            return StudyFolder.newest(results_dir)
    return StudyFolder.open(EXAMPLE)


def show(pictures: Sequence[Picture], captions: bool = False) -> None:
    """Display figures of a report, with captions each below its description."""
    for picture in pictures:
        if captions:
            say(f"**{picture.alt}**")
        width = round(96 * picture.wide.get_size_inches()[0])
        display(Image(_small_png(render(picture.wide, "png", dpi=150)), width=width, alt=picture.alt))
    if not pictures:
        say()


def say(*sentences: str) -> None:
    """Display one sentence as a paragraph, several as a list."""
    if len(sentences) > 1:
        display(Markdown("\n".join(f"- {sentence}" for sentence in sentences)))
    else:
        display(Markdown(sentences[0] if sentences else f"*{_NOTHING}*"))


def frame(table: Table) -> pd.DataFrame:
    """Return a table of the report as text in a data frame, whose rows are named by the first column."""
    if not table.rows:
        return pd.DataFrame(index=[_NOTHING])
    return table.frame().rename_axis(None)


def describe_study(results: StudyResults) -> str:
    """Describe the study in a sentence."""
    data, config = results.study.data, results.study.config
    searched = "" if config.baseline else f" {config.trials} trials a network,"
    networks, differing = listed(list(results.architectures.values())), own_settings_sentence(results.study)
    return (
        f"**{results.study.name}**: {networks} on {data.title}"
        f" ({data.n_train:,} training and {data.n_test:,} test images of {len(data.classes)} classes);{searched}"
        f" at most {config.max_epochs} epochs a run, {config.seeds} seeds."
        f"{' ' * bool(differing)}{differing}"
    )


def network_table(results: StudyResults) -> Table:
    """Return a row a network: its size, and the configurations that were compared."""
    columns = [Column("Network"), Column("parameters", write="{:,}".format)]
    columns += [
        Column(f"{variant} {column.title}", write=column.write)
        for variant in VARIANTS
        for column in hyperparameter_columns(results.study)
    ]
    rows = []
    for arch, network in results.study.architectures.items():
        tuned = results.group(arch, "tuned")
        configs = (network.baseline, tuned.config if tuned else {})
        rows.append(
            (
                network.title,
                network.parameters,
                *(config.get(name) for config in configs for name in results.study.titles()),
            )
        )
    return Table("networks", "The networks and their configurations", columns, rows)


def show_search(results: StudyResults, folder: StudyFolder) -> None:
    """Display how the trials ended, how many each rung stopped, and which hyperparameter mattered."""
    if not len(results.trials):
        say()
        return
    tables = [search_table(results), rungs_table(results)]
    for table in (*tables, importance_table(results, read_importances(folder.optuna, results.architectures))):
        display(frame(table))


def describe_weights(best: BestWeights | None) -> str:
    """Say which weights to use."""
    if best is None:
        return (
            "No weights are recommended, because no network is better than every other on all planned seeds. Something"
            " else, such as the cost, may decide."
        )
    return (
        f"Use `{best.weights}`. It is the winner's tuned run with the lowest validation loss. {what_to_expect(best)}"
        + (" `final/best.json` holds everything that a prediction needs." if best.normalisation else "")
    )


def rerun_command(results: StudyResults) -> str:
    """Return the command line that runs the study again, for all its seeds, without the place where it was kept."""
    is_resumed = results.study.resumed is not None
    dropped = (*_PLACES, "--seeds") if is_resumed else _PLACES
    words, kept = iter(shlex.split(results.study.command)), []
    for word in words:
        if word in dropped:
            next(words, None)
        elif not word.startswith(tuple(f"{flag}=" for flag in dropped)):
            kept.append(word)
    if is_resumed:
        kept += ["--seeds", str(results.study.config.seeds)]
    return shlex.join(kept)


def _small_png(png: bytes) -> bytes:
    """Return the picture in 256 colours, a third of the size, because the notebook is committed with its figures."""
    buffer = io.BytesIO()
    PillowImage.open(io.BytesIO(png)).convert("RGB").quantize(256).save(buffer, "png", optimize=True)
    return buffer.getvalue()
