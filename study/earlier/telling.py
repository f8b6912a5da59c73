"""Choose the trials of an earlier study that the samplers of a new study are told, and read them again."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from analysis.numbers import listed, plural
from analysis.results.files import read_json, write_checksums, write_json
from analysis.results.study_folder import StudyFolder
from models.data import Dataset
from models.networks.inspection.fingerprint import difference
from models.training.recipe import RECIPE_VERSION
from study.earlier.begun import Earlier
from study.errors import BadInput
from study.search.ledger import Ledger
from study.search.sampler import Told
from study.settings.config import StudyConfig
from study.settings.networks import space_of
from study.settings.search_space import SearchSpace

# The score of a configuration depends on these settings and, for each network, on these keys of its table.
_OF_STUDY = ("max_epochs", "patience", "grace_steps", "batch_size", "image_size", "recipe")
_OF_NETWORK: dict[str, Any] = {"factory": None, "arguments": {}, "normalisation": "training", "skip": [], "freeze": []}


@dataclass(frozen=True)
class Telling:
    """Holds what an earlier study tells a new one.

    Attributes:
        origin: the earlier study, as study.json describes it.
        told: the trials told, by network, as tune/told.json has them.
    """

    origin: dict[str, Any]
    told: dict[str, list[dict[str, Any]]]

    def write(self, folder: StudyFolder) -> None:
        """Keep the trials in the folder of the new study."""
        write_json(folder.told, self.told)
        write_checksums(folder.told.parent, folder.told.name)

    def sentence(self) -> str:
        """Say how many trials of each network are told, and why there are none of a network."""
        counts = [f"{plural(count, 'trial')} of {arch}" for arch, count in self.origin["told"].items()]
        untold = "".join(f"; none of {arch} ({reason})" for arch, reason in self.origin["untold"].items())
        return f"The samplers are told {listed(counts)} from {self.origin['study']}{untold}"


def check_same_data(earlier: Earlier | None, dataset: Dataset) -> None:
    """Raise BadInput if the earlier study, if there is one, had other images, classes or labels."""
    if earlier is None:
        return
    begun, now = earlier.study["data"]["fingerprint"], dataset.fingerprint()
    if begun != now:
        raise BadInput(
            f"--from {earlier.folder.path}: that study has other data (fingerprint {begun[:12]}, not {now[:12]}), so"
            " its scores say nothing here: give the same images and --train-size, or leave --from out"
        )


def trials_to_tell(
    earlier: Earlier | None, config: StudyConfig, networks: Mapping[str, Mapping[str, Any]]
) -> Telling | None:
    """Choose the ended trials of each network that is the same in both studies, with its recipe and its space.

    The folder of the earlier study stays as it is.

    Args:
        earlier: the earlier study, if there is one.
        config: settings of the new study.
        networks: each network's entry in study.json, by its name.

    Raises:
        BadInput: if there is no trial to tell.
    """
    if earlier is None:
        return None
    ended = _ended_trials(earlier.folder)
    told: dict[str, list[dict[str, Any]]] = {}
    untold = {}
    for arch, network in networks.items():
        reason = _why_not(earlier, config, arch, network)
        if reason is None and not ended.get(arch):
            reason = "no trial of it has ended with a score"
        if reason is None:
            told[arch] = ended[arch]
        else:
            untold[arch] = reason
    if not told:
        reasons = "; ".join(f"{arch}: {reason}" for arch, reason in untold.items())
        raise BadInput(
            f"--from {earlier.folder.path}: none of its trials fits this study ({reasons}); leave --from out"
        )
    origin = {
        "study": str(earlier.study["name"]),
        "seeds": list(earlier.seeds),
        "is_tested": earlier.is_tested,
        "told": {arch: len(trials) for arch, trials in told.items()},
        "untold": untold,
    }
    return Telling(origin, told)


def told_trials(folder: StudyFolder) -> dict[str, Told]:
    """Return what the samplers of a study are told, by network; nothing if no earlier study tells it anything.

    Raises:
        DamagedFile: if it was told something that is missing now.
    """
    if "origin" not in folder.read_study():
        return {}
    kept = read_json(folder.told, verified=True)
    return {arch: [(trial["values"], trial["score"]) for trial in trials] for arch, trials in kept.items()}


def _ended_trials(folder: StudyFolder) -> dict[str, list[dict[str, Any]]]:
    """Return the number, values and score of each trial that ended with a score, by network."""
    if not folder.journal.exists():
        return {}
    with TemporaryDirectory() as aside:  # opening a journal may mend it
        trials = Ledger(Path(shutil.copy(folder.journal, aside))).trials()
    ended: dict[str, list[dict[str, Any]]] = {}
    for trial in trials:
        if trial.told is not None:
            row = {"number": trial.number, "values": trial.values, "score": trial.told}
            ended.setdefault(trial.arch, []).append(row)
    return ended


def _why_not(earlier: Earlier, config: StudyConfig, arch: str, network: Mapping[str, Any]) -> str | None:
    """Return why a network's scores of the earlier study cannot be compared with the new ones; None if they can."""
    begun = earlier.study["architectures"].get(arch)
    if begun is None:
        return "that study does not have it"
    if earlier.study["search"].get("recipe_version") != RECIPE_VERSION:
        return "another version trained it"
    for name in _OF_STUDY:
        before, now = getattr(earlier.config, name), getattr(config, name)
        if before != now:
            return f"{name} is {now}, was {before}"
    tables = (study.networks.get(arch, {}) for study in (earlier.config, config))
    before, now = ({name: table.get(name, default) for name, default in _OF_NETWORK.items()} for table in tables)
    if changed := next((name for name in _OF_NETWORK if before[name] != now[name]), None):
        return f"{changed} is {now[changed]}, was {before[changed]}"
    if "fingerprint" not in begun:
        return "that study has no fingerprint of it"
    if (changed := difference(begun["fingerprint"], network["fingerprint"])) is not None:
        return changed
    space = SearchSpace.from_json(begun.get("space") or earlier.study["search"]["space"])
    return None if space.to_json() == space_of(config, arch).to_json() else "its search space is another"
