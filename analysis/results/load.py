"""A study as tables and arrays in memory: what figures, statistics and the report are functions of."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.results.run_folders import CompletedRun, FinalRun
from analysis.results.study_folder import Samples, StudyFolder

VARIANTS = ("baseline", "tuned")


@dataclass(frozen=True)
class Group:
    """The final runs of one architecture with one configuration, by ascending seed.

    Attributes:
        name: `<arch>-baseline` or `<arch>-tuned`.
        title: the name shown to people, such as "AlexNet, tuned".
        config: hyperparameters, such as {"lr": 0.001, "dropout": 0.5}.
        same_as: name of the group whose runs these are, if the two configurations are equal.
    """

    name: str
    title: str
    arch: str
    variant: str
    config: dict[str, float]
    runs: tuple[FinalRun, ...]
    same_as: str | None = None

    @property
    def seeds(self) -> list[int]:
        return [run.seed for run in self.runs]

    @property
    def labels(self) -> np.ndarray:
        """True classes of the test images, int64 [n_test]."""
        return self.runs[0].labels

    def predictions(self) -> np.ndarray:
        """Predicted classes, int64 [seeds, n_test]."""
        return np.stack([run.logits.argmax(axis=1) for run in self.runs])

    def correct(self) -> np.ndarray:
        """Whether each test image is classified rightly, bool [seeds, n_test]."""
        correct: np.ndarray = self.predictions() == self.labels
        return correct


@dataclass(frozen=True)
class StudyResults:
    """Everything that the report of a study shows.

    Attributes:
        study: contents of study.json.
        architectures: name to title, in the order of the study.
        classes: class names.
        trials: a row a trial (TRIAL_COLUMNS); empty if nothing was searched.
        history: a row an epoch of a trial (HISTORY_COLUMNS), in the order of their arrival.
        groups: by name, architectures in the order of the study, the baseline before the tuned one; only those
            that have finished runs.
        latency: what was measured of inference time, by architecture; empty if nothing was.
        samples: test images kept for the report, if any.
        confirmations: the runs that the tuned configurations were chosen by, if there were any.
    """

    study: dict[str, Any]
    architectures: dict[str, str]
    classes: list[str]
    trials: pd.DataFrame
    history: pd.DataFrame
    groups: dict[str, Group]
    latency: dict[str, Any]
    samples: Samples | None
    confirmations: tuple[CompletedRun, ...] = ()


def load_results(folder: StudyFolder) -> StudyResults:
    """Reads a study, finished or not. Raises DamagedFile, which names the file."""
    study = folder.read_study()
    trials, history = folder.read_trials(), folder.read_history()
    return StudyResults(
        study=study,
        architectures={name: entry["title"] for name, entry in study["architectures"].items()},
        classes=list(study["data"]["classes"]),
        trials=pd.DataFrame() if trials is None else trials,
        history=pd.DataFrame() if history is None else history,
        groups=_load_groups(folder, study),
        latency=folder.read_latency() or {},
        samples=folder.read_samples(),
        confirmations=tuple(folder.confirm.read_all()),
    )


def _load_groups(folder: StudyFolder, study: dict[str, Any]) -> dict[str, Group]:
    finished = folder.final.numbers()
    groups: dict[str, Group] = {}
    for arch, entry in study["architectures"].items():
        for variant in VARIANTS:
            name = f"{arch}-{variant}"
            if name not in finished:
                continue
            runs = tuple(folder.final.read(name, seed) for seed in finished[name])
            title = f"{entry['title']}, {variant}"
            groups[name] = Group(name, title, arch, variant, dict(runs[0].metrics["config"]), runs)
        baseline = groups.get(f"{arch}-baseline")
        if baseline and f"{arch}-tuned" not in finished and baseline.runs[0].metrics["is_tuned"]:
            title = f"{entry['title']}, tuned (the baseline)"
            groups[f"{arch}-tuned"] = Group(
                f"{arch}-tuned", title, arch, "tuned", baseline.config, baseline.runs, baseline.name
            )
    return groups
