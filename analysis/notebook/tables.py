"""What analysis/results.ipynb needs beside the parts of the report: which study it opens, and how it shows things.

Tables are for reading: their numbers are text with the units of the column, and whatever is missing is a dash.
"""

import io
import os
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import Image, Markdown, display
from matplotlib.ticker import EngFormatter
from PIL import Image as PillowImage

from analysis.figures.catalogue import Picture, listed
from analysis.figures.style import render
from analysis.results.load import StudyResults
from analysis.results.study_folder import StudyFolder

with warnings.catch_warnings():
    # In a notebook Optuna's progress bars, which nothing here shows, complain when imported without ipywidgets.
    warnings.filterwarnings("ignore", message="IProgress not found")
    from analysis.report.digest import confirmation_digest, fairness_digest, search_digest
    from analysis.statistics.importance import Importance

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "tests" / "example-study"

_MISSING = "\N{EN DASH}"
_NOTHING = "This study has nothing to show here."
# Flags of study.run that say where a study is kept, not what it is.
_PLACES = ("--results-dir", "--name")


def open_study() -> StudyFolder:
    """The study that the environment variable STUDY names by its path, else the newest one, else the example.

    The newest is looked for in ./results of the working directory, then of the repository.

    Raises:
        BadInput: if STUDY names no study.
    """
    if named := os.environ.get("STUDY"):
        return StudyFolder.open(Path(named))
    for results_dir in (Path("results"), ROOT / "results"):
        if any(results_dir.glob("*/study.json")):
            return StudyFolder.newest(results_dir)
    return StudyFolder.open(EXAMPLE)


def show(pictures: Sequence[Picture], captions: bool = False) -> None:
    """Displays figures of a report, with captions each below what it shows in words."""
    for picture in pictures:
        if captions:
            say(f"**{picture.alt}**")
        width = round(96 * picture.wide.get_size_inches()[0])
        display(Image(_small_png(render(picture.wide, "png")), width=width, alt=picture.alt))
    if not pictures:
        say()


def say(*sentences: str) -> None:
    """Displays one sentence as a paragraph, several as a list."""
    if len(sentences) > 1:
        display(Markdown("\n".join(f"- {sentence}" for sentence in sentences)))
    else:
        display(Markdown(sentences[0] if sentences else f"*{_NOTHING}*"))


def describe_study(results: StudyResults) -> str:
    """What was studied, in a sentence."""
    data, config = results.study["data"], results.study["config"]
    searched = "" if config["baseline"] else f" {config['trials']} trials a network,"
    networks, n_classes = listed(list(results.architectures.values())), len(results.classes)
    return (
        f"**{results.study['name']}**: {networks} on {data['title']}"
        f" ({data['n_train']:,} training and {data['n_test']:,} test images of {n_classes} classes);{searched}"
        f" at most {config['max_epochs']} epochs a run, {config['seeds']} seeds."
    )


def network_table(results: StudyResults) -> pd.DataFrame:
    """A row a network: its size, and the configurations that were compared."""
    rows = []
    for arch, title in results.architectures.items():
        network = results.study["architectures"][arch]
        tuned = results.groups.get(f"{arch}-tuned")
        row = {"network": title, "parameters": f"{network['parameters']:,}"}
        for variant, config in (("baseline", network["baseline"]), ("tuned", tuned.config if tuned else {})):
            row[f"{variant} learning rate"] = _text(config.get("lr"), ".3g")
            row[f"{variant} dropout"] = _text(config.get("dropout"), ".2f")
        rows.append(row)
    return _table(rows)


def pairs_table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A row a comparison, the rows being those of `digest.comparison_digest`."""
    return _table(
        [
            {
                "comparison": f"{row['a']} \N{MINUS SIGN} {row['b']}",
                "call": row["call"],
                "difference (points)": _text(100 * row["difference"]["mean"], "+.2f"),
                "95 % interval": _interval(row["difference"]["ci95"], "+.2f"),
                "p": _p_value(row["p_value"]),
                "Holm p": _p_value(row["holm_p"]),
                "wins of the first (% of pairs)": f"{100 * row['prob_better']:.0f}",
                "seeds": len(row["seeds"]),
            }
            for row in rows
        ]
    )


def quality_table(summary: dict[str, Any]) -> pd.DataFrame:
    """A row a group: accuracy with its deviation over seeds and its interval, precision, recall and F1."""
    return _table(
        [
            {
                "group": group["title"],
                "seeds": len(group["seeds"]),
                "accuracy (%)": _percent(group["accuracy"]["mean"]),
                "SD over seeds": _percent(group["accuracy"]["sd"], ".2f"),
                "95 % interval": _interval(group["accuracy"]["ci95"], ".1f"),
                "precision (%)": _percent(group["precision"]["mean"]),
                "recall (%)": _percent(group["recall"]["mean"]),
                "F1 (%)": _percent(group["f1"]["mean"]),
            }
            for group in summary["groups"].values()
        ]
    )


def cost_table(summary: dict[str, Any]) -> pd.DataFrame:
    """A row a network: what a prediction costs."""
    networks = {group["arch"]: group for group in summary["groups"].values()}
    return _table(
        [
            {
                "network": group["title"].rpartition(", ")[0],
                **{f"latency {name} (ms)": _text(value, ".3g") for name, value in group["latency_ms"].items()},
                "images a second": _text(group["images_per_s"], ",.0f"),
                "parameters": _text(group["parameters"], ","),
                "multiply-accumulates": _text(group["macs"], ","),
            }
            for group in networks.values()
        ]
    )


def search_table(results: StudyResults, importances: dict[str, Importance]) -> pd.DataFrame:
    """A row a network: how its trials ended, what the rungs did, what was chosen, and what mattered."""
    found = search_digest(results, importances)
    rows = []
    for row in found["rows"]:
        chosen, shares = row["chosen"] or {}, row["importance"].shares
        rows.append(
            {
                "network": row["title"],
                "trials": row["trials"],
                **{f"stopped at epoch {rung.epoch}": f"{rung.stopped} of {rung.reached}" for rung in row["rungs"]},
                "chosen trial": chosen.get("trial_id", _MISSING),
                "its score (%)": _percent(chosen.get("val_accuracy")),
                **{
                    f"importance of {found['parameters'][name]} (%)": _percent(shares.get(name), ".0f")
                    for name in found["parameters"]
                },
            }
        )
    return _table(rows)


def confirmation_table(results: StudyResults) -> pd.DataFrame:
    """A row a trial that was run again on fresh seeds before one was chosen."""
    return _table(
        [
            {
                "trial": row["trial_id"],
                "score in the search (%)": _percent(row["score"]),
                "scores of fresh runs (%)": listed([_percent(score) for score in row["scores"]]),
                "their mean (%)": _percent(row["mean"]),
                "chosen": "yes" if row["chosen"] else "",
            }
            for row in confirmation_digest(results)
        ]
    )


def fairness_table(results: StudyResults, summary: dict[str, Any]) -> pd.DataFrame:
    """A row a network: what its search spent, and its best score in the end and at equal epochs."""
    found = fairness_digest(results, summary)
    return _table(
        [
            {
                "network": row["title"],
                "trials": row["trials"],
                "epochs": f"{row['epochs']:,}",
                "training (s)": f"{row['seconds']:,.0f}",
                "multiply-accumulates": EngFormatter(places=1)(row["macs"]),
                "confirmation runs": row["confirm_runs"],
                "best score (%)": _percent(row["best"]),
                f"after {found['epochs'] or 'equal'} epochs (%)": _percent(row["best_equal"]),
            }
            for row in found["rows"]
        ]
    )


def describe_weights(best: dict[str, Any] | None) -> str:
    """Which weights to use, from what `shipping.weights_to_ship` gives."""
    if best is None:
        return (
            "No network is better than every other on all planned seeds, so no weights are recommended: any other"
            " ground, such as cost, may decide."
        )
    mean, sd = best["expected_accuracy"]["mean"], best["expected_accuracy"]["sd"]
    deviation = (
        f"; single ones deviate from that by {_percent(sd)} points (standard deviation)" if sd is not None else ""
    )
    return (
        f"Use `{best['weights']}`: of the winner's tuned runs the one with the lowest validation loss. Expect of it not"
        f" its own accuracy on these test images but about {_percent(mean)} %, the mean of the runs it was chosen"
        f" from{deviation}."
        + (" `final/best.json` says what it takes to predict with them." if best["normalisation"] else "")
    )


def rerun_command(results: StudyResults) -> str:
    """The command line of the study, without where it was kept, for all the seeds that it was given."""
    dropped = (*_PLACES, "--seeds") if "resumed" in results.study else _PLACES
    words, kept = iter(shlex.split(results.study["command"])), []
    for word in words:
        if word in dropped:
            next(words, None)
        elif not word.startswith(tuple(f"{flag}=" for flag in dropped)):
            kept.append(word)
    if "resumed" in results.study:
        kept += ["--seeds", str(results.study["config"]["seeds"])]
    return shlex.join(kept)


def _small_png(png: bytes) -> bytes:
    """The same picture in 256 colours, a third of the size: a notebook is committed with its figures."""
    buffer = io.BytesIO()
    PillowImage.open(io.BytesIO(png)).convert("RGB").quantize(256).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def _table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The rows, named by their first column."""
    if not rows:
        return pd.DataFrame(index=[_NOTHING])
    return pd.DataFrame(rows).set_index(next(iter(rows[0]))).rename_axis(None)


def _text(value: Any, form: str) -> str:
    return _MISSING if pd.isna(value) else format(value, form).replace("-", "\N{MINUS SIGN}")


def _percent(value: Any, form: str = ".1f") -> str:
    return _MISSING if pd.isna(value) else _text(100 * value, form)


def _interval(limits: Sequence[Any], form: str) -> str:
    low, high = limits
    return _MISSING if pd.isna(low) else f"[{_percent(low, form)}, {_percent(high, form)}]"


def _p_value(value: Any) -> str:
    return "<0.001" if not pd.isna(value) and value < 0.001 else _text(value, ".3f")
