"""A small synthetic study, written through StudyFolder: what the report of a real one is made of, without training."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.samples import choose_positions
from analysis.results.load import load_results
from analysis.results.run_folders import EPOCH_COLUMNS, CompletedRun, FinalRun
from analysis.results.study_folder import HISTORY_COLUMNS, TRIAL_COLUMNS, Samples, StudyFolder
from analysis.statistics.metrics import metric_values
from tests.analysis.example_study_json import places, study_json, with_spaces

TITLES = {"alexnet": "AlexNet", "mobilenet": "MobileNet-like"}
STATUSES = ("COMPLETE", "PRUNED", "STOPPED_EARLY", "PRUNED", "DIVERGED")
DIGITS = tuple(str(digit) for digit in range(10))
N_TEST = 240


def _once(write: Callable[..., StudyFolder]) -> Callable[..., StudyFolder]:
    """Return `write`, which computes the files of the same study once in a process."""
    known: dict[str, dict[Path, bytes]] = {}

    @wraps(write)
    def copy(path: Path, **study: Any) -> StudyFolder:
        key = repr((path.name, study))
        if key not in known:
            folder = write(path, **study)
            known[key] = {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}
            return folder
        path.mkdir(parents=True)
        for name, content in known[key].items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        return StudyFolder(path)

    return copy


@_once
def write_example(
    path: Path,
    *,
    titles: Mapping[str, str] = TITLES,
    classes: Sequence[str] = DIGITS,
    seeds: int = 3,
    trials: int = 6,
    epochs: int = 8,
    search: bool = True,
    same_as: Sequence[str] = (),
    failed: Sequence[str] = (),
    confirm: bool = False,
    diverged: tuple[str, int] | None = None,
    skip: Sequence[str | tuple[str, int]] = (),
    n_test: int = N_TEST,
    latency: bool = True,
    spaces: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> StudyFolder:
    """Writes a study folder at `path`.

    Args:
        titles: the architectures, name to title.
        seeds: final runs a group.
        search: without one, the study is of the baselines alone.
        same_as: architectures whose tuned configuration is the baseline.
        failed: architectures of which every trial failed, so that they have no final runs.
        confirm: whether trials 0 and 2 of each architecture were run again twice, with scores 0.9 and None, and 0.6.
        diverged: group and seed of a final run that diverged.
        spaces: the search space of each network, as study.json has it, if they differ. A baseline lies at the low end.
        skip: groups, or groups and seeds, that are left out, as in a study that is not finished.
    """
    rng = np.random.default_rng(0)
    path.mkdir(parents=True)
    folder = StudyFolder(path)
    baselines = {arch: {"lr": 1e-3, "dropout": 0.5 if index == 0 else 0.0} for index, arch in enumerate(titles)}
    baselines |= {arch: {name: places(one)[0] for name, one in space.items()} for arch, space in spaces.items()}
    tuned = {arch: dict(baselines[arch]) for arch in titles}
    study = study_json(path.name, titles, baselines, classes, seeds, trials, epochs, search, n_test)
    folder.write_study(with_spaces(study, spaces))
    if search:
        configs = _write_search(folder, rng, baselines, trials, epochs, failed, spaces)
        if confirm:
            _write_confirmations(folder, rng, titles)
        tuned = {arch: baselines[arch] if arch in same_as else configs[arch] for arch in titles}

    labels = np.sort(rng.integers(0, len(classes), n_test)).astype(np.int64)
    difficulty = rng.normal(size=n_test)
    for index, arch in enumerate(titles):
        for variant in ("baseline", "tuned") if search and arch not in same_as else ("baseline",):
            for seed in range(seeds):
                group = f"{arch}-{variant}"
                if arch in failed or group in skip or (group, seed) in skip:
                    continue
                skill = 1.4 + 0.3 * (variant == "tuned") - 0.25 * index + 0.1 * rng.normal()
                has_diverged = diverged == (group, seed)
                logits = _logits(rng, labels, len(classes), -9.0 if has_diverged else skill, difficulty)
                config = tuned[arch] if variant == "tuned" else baselines[arch]
                history = _history(rng, epochs - seed % 2, skill)
                values = metric_values(logits.argmax(axis=1), labels, len(classes))
                metrics = {
                    "group": group,
                    "arch": arch,
                    "variant": variant,
                    "seed": seed,
                    "config": config,
                    "is_tuned": search and config == tuned[arch],
                    "status": "DIVERGED" if has_diverged else "COMPLETE",
                    "epochs": len(history),
                    "best_epoch": len(history),
                    "val_loss": float(history["val_loss"].min()),
                    "val_accuracy": float(history["val_accuracy"].max()),
                    "seconds": float(history["seconds"].sum()),
                    "normalisation": {"mean": [1.0, 2.0, 3.0], "deviation": [60.0, 61.0, 62.0]},
                    **values,
                }
                folder.final.write(FinalRun(group, seed, metrics, history, logits, labels))
    if latency:
        folder.write_latency({arch: _latency(index) for index, arch in enumerate(titles)})
    chosen = choose_positions(load_results(folder).groups)
    positions = np.unique(np.concatenate([*chosen.values(), np.empty(0, np.int64)]))
    images = rng.integers(0, 256, (len(positions), 32, 32, 3)).astype(np.uint8)
    folder.write_samples(Samples(images, positions))
    return folder


def _write_search(
    folder: StudyFolder,
    rng: np.random.Generator,
    baselines: Mapping[str, Mapping[str, Any]],
    trials: int,
    epochs: int,
    failed: Sequence[str],
    spaces: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Writes the search's two tables; returns the configuration of the best unpruned trial of each network."""
    rows: list[dict[str, Any]] = []
    epoch_rows, best = [pd.DataFrame(columns=list(HISTORY_COLUMNS))], {}
    for arch, baseline in baselines.items():
        if arch in failed:
            best[arch] = dict(baseline)
            for number in range(trials):
                trial = {"trial_id": f"{arch}-{number}", "arch": arch, **baseline, "status": "FAILED"}
                rows.append(trial | {"epochs": 0, "seconds": 0.0, "is_baseline": number == 0})
            continue
        for number in range(trials):
            status = STATUSES[number % len(STATUSES)]
            drawn = {"lr": float(10 ** rng.uniform(-4, -2)), "dropout": float(rng.uniform(0, 0.7))}
            if arch in spaces:
                drawn = {name: rng.choice(places(one)).item() for name, one in spaces[arch].items()}
            config = dict(baseline) if number == 0 else drawn
            history = _history(rng, 2 if status == "PRUNED" else epochs, 1.5 + 0.2 * rng.normal())
            if status == "DIVERGED":
                history.loc[len(history) - 1, ["train_loss", "val_loss", "val_accuracy"]] = np.nan
            finite = history.dropna()
            epoch = finite.iloc[int(finite["val_loss"].argmin())]
            trial = {
                "trial_id": f"{arch}-{number}",
                "arch": arch,
                **config,
                "status": status,
                "epochs": len(history),
                "best_epoch": int(epoch["epoch"]),
                "val_accuracy": epoch["val_accuracy"],
                "val_loss": epoch["val_loss"],
                "seconds": history["seconds"].sum(),
                "is_baseline": number == 0,
            }
            rows.append(trial)
            epoch_rows.append(history.assign(trial_id=trial["trial_id"], arch=arch))
        own = [row for row in rows if row["arch"] == arch and not row["is_baseline"]]
        top = max((row for row in own if row["status"] != "PRUNED"), key=lambda row: row["val_accuracy"])
        best[arch] = {name: top[name] for name in baseline}
    further = dict.fromkeys(name for space in spaces.values() for name in space if name not in TRIAL_COLUMNS)
    folder.write_trials(pd.DataFrame(rows, columns=[*TRIAL_COLUMNS, *further]))
    folder.write_history(pd.concat(epoch_rows[1:] or epoch_rows)[list(HISTORY_COLUMNS)])
    return best


def _write_confirmations(folder: StudyFolder, rng: np.random.Generator, archs: Iterable[str]) -> None:
    for arch in archs:
        for number, scores in ((0, (0.9, None)), (2, (0.6, 0.6))):
            for seed, score in enumerate(scores):
                metrics = {"arch": arch, "val_accuracy": score, "val_loss": None if score is None else 0.5}
                folder.confirm.write(CompletedRun(f"{arch}-{number}", seed, metrics, _history(rng, 8, 1.0)))


def _history(rng: np.random.Generator, epochs: int, skill: float) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    loss = 0.05 + 1.5 * np.exp(-0.4 * skill * epoch) + 0.02 * rng.random(epochs)
    accuracy = np.clip(1 - 0.35 * loss, 0, 1)
    columns = (epoch, 0.8 * loss, loss, accuracy, np.full(epochs, 0.5), 0.9 * accuracy)
    return pd.DataFrame(dict(zip(EPOCH_COLUMNS, columns, strict=True)))


def _logits(
    rng: np.random.Generator, labels: np.ndarray, n_classes: int, skill: float, difficulty: np.ndarray
) -> np.ndarray:
    logits = rng.normal(size=(len(labels), n_classes))
    logits[np.arange(len(labels)), labels] += 1.8 * (skill + 1) - difficulty
    return (1.5 * logits).astype(np.float32)


def _latency(index: int) -> dict[str, Any]:
    return {
        "latency_ms": {"p50": 2.1 - index, "p90": 2.4 - index, "p99": 3.2 - index},
        "images_per_s": 2500.0 * (1 + index),
        "calls": 1000,
        "batch_size": 128,
        "device": "CPU",
        "dtype": "float32",
        "threads": 2,
    }
