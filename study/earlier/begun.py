"""Read the settings of a study that was begun: one that goes on, or one that a new study goes on from.

It imports neither torch nor Optuna.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analysis.results.errors import UnusableStudy, writer
from analysis.results.files import DamagedFile
from analysis.results.study_folder import StudyFolder
from study import FORMAT
from study.errors import BadInput
from study.settings.config import StudyConfig


@dataclass(frozen=True)
class Earlier:
    """Describes the study that a new study goes on from.

    Attributes:
        folder: its folder.
        study: the contents of its study.json.
        config: its settings.
        seeds: its seed, after the seeds of the studies that it came from.
        is_tested: True if it, or a study that it came from, has predicted test images.
    """

    folder: StudyFolder
    study: Mapping[str, Any]
    config: StudyConfig
    seeds: tuple[int, ...]
    is_tested: bool

    def successor(self) -> StudyConfig:
        """Return the settings that a new study begins with: the same images, and a seed that no study before had."""
        subset = self.config.train_seed if self.config.train_seed is not None else self.config.seed
        train_seed = None if self.config.train_size is None else subset
        return replace(self.config, seed=max(self.seeds) + 1, train_seed=train_seed)

    def check(self, config: StudyConfig, given: Collection[str]) -> None:
        """Raise BadInput if a study of these settings cannot go on from this one.

        Args:
            given: names of the flags that are given.
        """
        name = self.folder.path
        if "resume" in given:
            raise BadInput("--from begins a new study, and --resume goes on with one: leave one of them out")
        if config.preset != self.config.preset:
            raise BadInput(f"--from takes the settings of {name}: leave --preset out, and give single flags")
        if config.baseline:
            raise BadInput(f"--from tells the trials of {name} to a search, which --baseline leaves out: drop one flag")
        if config.seed in self.seeds:
            raise BadInput(
                f"--seed {config.seed} was the seed of {name} or of a study that it came from: choose another, or leave"
                " the seed out"
            )


def read_begun(folder: StudyFolder, otherwise: str) -> tuple[dict[str, Any], StudyConfig]:
    """Return the contents of a study's study.json, and its settings.

    Args:
        otherwise: the advice if another version wrote them.

    Raises:
        BadInput: if this version cannot read them.
        DamagedFile: if study.json is not a JSON object.
    """
    study = folder.read_study()
    if study.get("format") != FORMAT:
        raise BadInput(
            f"{folder.path} is of format {study.get('format')!r} by {writer(study)}; this version reads format"
            f" {FORMAT}: {otherwise}"
        )
    try:
        return study, StudyConfig.from_json(study.get("config", {}))
    except BadInput as error:
        raise BadInput(f"{folder.path / 'study.json'} is by {writer(study)}: {error}; {otherwise}") from error


def read_earlier(path: Path) -> Earlier:
    """Read the study that `--from` names. Raises BadInput if no new study can go on from it."""
    try:
        folder = StudyFolder.open(path)
        study, config = read_begun(folder, "name a study of this version")
    except (DamagedFile, UnusableStudy) as error:
        raise BadInput(f"--from: {error}") from error
    except OSError as error:
        raise BadInput(f"--from {str(path)!r} cannot be read ({error.strerror}): give the folder of a study") from error
    origin = study.get("origin") or {}
    is_tested = bool(folder.final.numbers()) or bool(origin.get("is_tested"))
    return Earlier(folder, study, config, (*origin.get("seeds", ()), config.seed), is_tested)
