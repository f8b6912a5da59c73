"""The names of the trackers, and the Protocol that each of them fulfils."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

from analysis.results.study_folder import StudyFolder
from study.errors import BadInput

Value = float | int | str

# A trial, a network or a study goes on; or it has neither ended nor a process that works on it.
RUNNING, UNFINISHED = "RUNNING", "UNFINISHED"
TITLES = {"tensorboard": "TensorBoard", "mlflow": "MLflow", "wandb": "Weights & Biases"}


@dataclass(frozen=True)
class Run:
    """Holds the study, one of its networks, a trial or a final run, as a tracker shows it.

    Attributes:
        study: name of the study.
        identity: the study's id, which stays when its folder is renamed.
        path: names below the study: () for the study, ("alexnet",), ("alexnet", "alexnet-3").
        kind: "study", "network", "trial" or "final run".
        status: a trial's status in trials.csv, RUNNING or UNFINISHED.
        parameters: the configuration, the seed, and so on. They never change once they are known.
        epochs: the metrics of each epoch, the first epoch first. Values that are not finite are left out.
        metrics: the numbers that are known at the end.
        step: the step at which the tracker shows `metrics`: the epochs of a run, or the seeds of a network.
        tags: texts by name.
        artifact: a file that belongs to it, if there is one.
    """

    study: str
    identity: str
    path: tuple[str, ...]
    kind: str
    status: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    epochs: Sequence[Mapping[str, float]] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    step: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    artifact: Path | None = None

    @property
    def key(self) -> str:
        """Return its name within the study, such as "alexnet/alexnet-3"; empty for the study."""
        return "/".join(self.path)

    @property
    def name(self) -> str:
        """Return the name that people see."""
        return self.path[-1] if self.path else self.study

    @property
    def is_over(self) -> bool:
        """Return whether it has ended."""
        return self.status not in (RUNNING, UNFINISHED)

    def digest(self) -> str:
        """Return a number for all that it holds: a tracker that has this number lacks nothing."""
        file = hashlib.sha256(self.artifact.read_bytes()).hexdigest() if self.artifact else None
        held = (self.status, dict(self.parameters), list(map(dict, self.epochs)), dict(self.metrics), self.step)
        return hashlib.sha256(json.dumps((*held, dict(self.tags), file)).encode()).hexdigest()


class Tracker(Protocol):
    """Shows runs. Each method may raise anything: the feed turns it into one line.

    Attributes:
        where: names the place for people, such as a folder or a URI.
    """

    where: str

    def begin(self, run: Run) -> int | None:
        """Open a run, whether it is new or not. A network comes after its study, and a run after its network.

        Returns:
            The number of epochs that the tracker has already; None if it takes nothing of this run now.
        """

    def epoch(self, run: Run, first: int) -> None:
        """Write the epochs of a run that the tracker lacks: from number `first` on, counted from 1."""

    def end(self, run: Run) -> None:
        """Write what is known of a run that is not going on: status, metrics, tags and artifact."""

    def close(self) -> None:
        """Write everything that waits."""


def check_packages(names: Sequence[str]) -> None:
    """Raise BadInput, which names the extra, if the package of a tracker is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise BadInput(
                f"the tracker {name} needs a package that is not installed: pip install 'fairverdict[{name}]'"
            )


def open_tracker(name: str, folder: StudyFolder, uri: str | None = None) -> Tracker:
    """Return a tracker for a study.

    Args:
        name: one of TITLES.
        uri: the place of the tracker, as its function `connect` says; its default if None.

    Raises:
        BadInput: if its package is not installed.
    """
    check_packages([name])
    return cast(Tracker, import_module(f"study.track.{name}").connect(folder, uri))
