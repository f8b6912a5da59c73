"""A study as tables and arrays in memory. Figures, statistics and the report are functions of these."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from analysis.results.files import read_npz
from analysis.results.run_folders import CompletedRun, FinalRun
from analysis.results.study_folder import Samples, StudyFolder
from analysis.results.study_json import Choices, Study, read_study

VARIANTS = ("baseline", "tuned")


def group_name(arch: str, variant: str) -> str:
    """Return the name of the final runs of a network with one of VARIANTS: `<arch>-<variant>`."""
    return f"{arch}-{variant}"


@dataclass(frozen=True)
class Group:
    """Holds the final runs of one network with one configuration, by ascending seed.

    Attributes:
        name: `<arch>-baseline` or `<arch>-tuned`.
        title: the name shown to people, such as "AlexNet (tuned)".
        config: hyperparameters by name, such as `{"lr": 0.001, "dropout": 0.5}`.
        same_as: name of the group whose runs these are, if the two configurations are equal.
    """

    name: str
    title: str
    arch: str
    variant: str
    config: dict[str, Any]
    runs: tuple[FinalRun, ...]
    same_as: str | None = None

    @property
    def seeds(self) -> list[int]:
        return [run.seed for run in self.runs]

    @property
    def labels(self) -> np.ndarray:
        """Return the true classes of the test images, int64 [n_test]."""
        return self.runs[0].labels

    def predictions(self) -> np.ndarray:
        """Return the predicted classes, int64 [seeds, n_test]."""
        return np.stack([run.logits.argmax(axis=1) for run in self.runs])

    def correct(self) -> np.ndarray:
        """Return whether each test image is classified correctly, bool [seeds, n_test]."""
        correct: np.ndarray = self.predictions() == self.labels
        return correct

    def is_of_network(self, other: "Group") -> bool:
        """Return whether both groups are of one network, so that runs of the same seed began with the same weights."""
        return self.arch == other.arch

    def diverged_seeds(self) -> list[int]:
        """Return the seeds of the runs that diverged."""
        return [run.seed for run in self.runs if run.metrics["status"] == "DIVERGED"]


@dataclass(frozen=True)
class RepeatedPictures:
    """Holds pairs of images that show the same picture.

    Attributes:
        images: uint8 [k, 2, size, size, 3].
        rows: for each pair "train and test", "within test" or "two labels", the names of both images, and "equal" or
            "nearly equal".
    """

    images: np.ndarray
    rows: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True)
class StudyResults:
    """Everything that the report of a study shows.

    Attributes:
        study: contents of study.json.
        architectures: names to titles of the networks, in the order of the study.
        classes: class names.
        trials: a row a trial (TRIAL_COLUMNS); empty if nothing was searched.
        history: a row an epoch of a trial (HISTORY_COLUMNS), in the order of their arrival.
        groups: the groups that have finished runs, by name. Networks are in the order of the study, and the baseline is
            before the tuned configuration.
        latency: the measured inference time by network; empty if it was not measured.
        samples: the test images kept for the report, if any.
        confirmations: the runs that chose between the leading trials, if there were any.
        repeats: repeated pictures to show, if there were any.
    """

    study: Study
    architectures: dict[str, str]
    classes: list[str]
    trials: pd.DataFrame
    history: pd.DataFrame
    groups: dict[str, Group]
    latency: dict[str, Any]
    samples: Samples | None
    confirmations: tuple[CompletedRun, ...] = ()
    repeats: RepeatedPictures | None = None

    def group(self, arch: str, variant: str) -> Group | None:
        """Return the final runs of a network with one of VARIANTS; None if there are none."""
        return self.groups.get(group_name(arch, variant))

    def trials_of(self, arch: str) -> pd.DataFrame:
        """Return the trials of one network."""
        return self._trials_by_network.get(arch, self.trials[:0])

    def history_of(self, arch: str) -> pd.DataFrame:
        """Return the epochs of one network's trials."""
        return self._history_by_network.get(arch, self.history[:0])

    @cached_property
    def _trials_by_network(self) -> dict[str, pd.DataFrame]:
        return _by_network(self.trials)

    @cached_property
    def _history_by_network(self) -> dict[str, pd.DataFrame]:
        return _by_network(self.history)


def _by_network(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(arch): rows for arch, rows in table.groupby("arch")} if len(table) else {}


def load_results(folder: StudyFolder) -> StudyResults:
    """Read a study, finished or not. Raises DamagedFile, which names the file."""
    study = read_study(folder)
    trials, history = _load_trials(folder, study), folder.read_history()
    return StudyResults(
        study=study,
        architectures={name: network.title for name, network in study.architectures.items()},
        classes=study.data.classes,
        trials=trials,
        history=pd.DataFrame() if history is None else history,
        groups=_load_groups(folder, study),
        latency=folder.read_latency() or {},
        samples=folder.read_samples(),
        confirmations=tuple(folder.confirm.read_all()),
        repeats=_load_repeats(folder),
    )


def _load_trials(folder: StudyFolder, study: Study) -> pd.DataFrame:
    """Read the trials with the categories that study.json lists; an empty table if there was no search.

    A category may look like a missing value ("None") or like a number ("1").
    """
    found: dict[str, list[Any]] = {}
    for arch in study.architectures:
        for name, dimension in study.space_of(arch).items():
            if isinstance(dimension, Choices):
                found.setdefault(name, []).extend(dimension.choices)
    trials = folder.read_trials(found)
    if trials is None:
        return pd.DataFrame()
    for name, choices in found.items():
        if name in trials:
            trials[name] = pd.Series([_choice(text, choices) for text in trials[name]], trials.index, object)
    return trials


def _choice(text: str, choices: Sequence[Any]) -> Any:
    """Return the category that a table's text means; NaN for none, a number or the text if it means no category."""
    named = {str(choice): choice for choice in choices}
    if text in named:
        return named[text]
    try:
        value = float(text or "nan")
    except ValueError:
        return text
    # Whole numbers in a column with empty cells are written with a decimal point.
    return next((choice for choice in choices if isinstance(choice, int | float) and choice == value), value)


def _load_repeats(folder: StudyFolder) -> RepeatedPictures | None:
    if not folder.repeats.exists():
        return None
    shown = read_npz(folder.repeats, ("images", "rows"))
    return RepeatedPictures(shown["images"], tuple(tuple(row) for row in shown["rows"].tolist()))


def _load_groups(folder: StudyFolder, study: Study) -> dict[str, Group]:
    finished = folder.final.numbers()
    groups: dict[str, Group] = {}
    for arch, network in study.architectures.items():
        baseline_name, tuned_name = (group_name(arch, variant) for variant in VARIANTS)
        for variant, name in zip(VARIANTS, (baseline_name, tuned_name), strict=True):
            if name in finished:
                runs = tuple(folder.final.read(name, seed) for seed in finished[name])
                title = f"{network.title} ({variant})"
                groups[name] = Group(name, title, arch, variant, dict(runs[0].metrics["config"]), runs)
        baseline = groups.get(baseline_name)
        if baseline and tuned_name not in finished and baseline.runs[0].metrics["is_tuned"]:
            title = f"{network.title} (tuned = baseline)"
            groups[baseline_name] = replace(baseline, title=title)
            groups[tuned_name] = Group(tuned_name, title, arch, "tuned", baseline.config, baseline.runs, baseline_name)
    return groups
