"""The provenance of a study's numbers, as study.json keeps it."""

import os
import platform
import shlex
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from joblib import cpu_count

# Ray has no public way to ask what memory a container may use.
from ray._common.utils import get_system_memory

from analysis.results.study_json import checked_study
from analysis.statistics.calls import LOOKS
from models.data import VALIDATION_FRACTION, Dataset
from models.networks.hyperparameters import belongs_to_network
from models.networks.inspection.cost import count_macs, count_parameters
from models.networks.inspection.fingerprint import fingerprint
from models.training.recipe import RECIPE_VERSION, steps_per_epoch
from study import FORMAT, __version__
from study.errors import BadInput
from study.settings.config import StudyConfig
from study.settings.networks import architecture_of, baseline_of, shared_space, space_of
from study.settings.search_space import RUNGS, STARTUP_TRIALS

# Raise it by 1 when the sampler proposes otherwise from the same trials: a search must end by the rule it began with.
# Drawn surfaces do not count: a search with hundreds of trials at a time is never repeated exactly.
SAMPLER_VERSION = 3
_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("ray", "torch", "torchvision", "optuna", "numpy", "scipy", "scikit-learn", "pandas")


def describe_study(
    name: str,
    arguments: Sequence[str],
    config: StudyConfig,
    networks: Mapping[str, Mapping[str, Any]],
    dataset: Dataset,
    origin: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the contents of study.json.

    Args:
        arguments: the command line after `python -m study.run`.
        config: the settings, with nothing left to be worked out.
        networks: each network's entry by its name, as `describe_networks` returns them.
        origin: the earlier study that the new one goes on from, if there is one.
    """
    study = {
        "format": FORMAT,
        "name": name,
        "id": uuid4().hex,
        **describe_session(arguments),
        "config": config.to_json(),
        "architectures": {arch: dict(network) for arch, network in networks.items()},
        "search": search_settings(config, len(dataset.train)),
        "data": {
            "title": dataset.title,
            "classes": list(dataset.classes),
            "n_train": len(dataset.train),
            "n_test": len(dataset.test),
            "fingerprint": dataset.fingerprint(),
            "notes": list(dataset.findings.notes),
            "unread": dict(dataset.findings.unread),
            "repeats": dict(Counter(kind for kind, *_ in dataset.findings.repeats)),
        },
        **({} if origin is None else {"origin": dict(origin)}),
        **({"looks": _first_look()} if config.seeds == "auto" else {}),
    }
    return checked_study(study)


def _first_look() -> dict[str, Any]:
    """Return the looks of a new study: their plan, and the first one."""
    return {"plan": [{"seeds": seeds, "alpha": alpha} for seeds, alpha in LOOKS.items()], "reached": min(LOOKS)}


def describe_session(arguments: Sequence[str]) -> dict[str, Any]:
    """Return when, how and where this session works on a study."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", "study.run", *arguments]),
        "environment": {
            "version": __version__,
            "python": platform.python_version(),
            "git_commit": git_commit(_ROOT),
            "c_compiler": _c_compiler(),
            "packages": {package: version(package) for package in _PACKAGES},
            "platform": platform.platform(),
            "processor": torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine(),
            # A container's own limit, not the processors of the machine that it shares.
            "cpus": cpu_count(),
            "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
            "memory_gib": round(get_system_memory() / 2**30, 1),
        },
    }


def search_settings(config: StudyConfig, n_train: int) -> dict[str, Any]:
    """Return `search` in study.json: how this version searches and trains.

    Args:
        n_train: training images before the split.
    """
    return {
        "space": shared_space(config),
        "grace_period": RUNGS.first(config.max_epochs, steps_per_epoch(n_train, config.batch_size)),
        "reduction_factor": RUNGS.reduction_factor,
        "tolerance": RUNGS.tolerance,
        "sampler": "Gaussian process",
        "sampler_version": SAMPLER_VERSION,
        "recipe_version": RECIPE_VERSION,
        "startup_trials": STARTUP_TRIALS,
        "choice": "expected score",
        "patience": config.patience,
        "batch_size": config.batch_size,
        "validation_fraction": VALIDATION_FRACTION,
    }


def describe_networks(
    config: StudyConfig, n_classes: int, notes: Mapping[str, Sequence[str]] | None = None
) -> dict[str, dict[str, Any]]:
    """Return each network's title, baseline, parameters, multiply-accumulates and fingerprint, by its name.

    With them are the import path of its factory or None, the factory's arguments that the study gives, the names of the
    hyperparameters that the factory gets, and the notes.

    Args:
        notes: sentences about each network; none by default.

    Raises:
        BadInput: if a network cannot predict an image.
    """
    found = {arch: _describe_network(arch, config, n_classes) for arch in config.archs}
    return {arch: network | {"notes": list((notes or {}).get(arch, []))} for arch, network in found.items()}


def _describe_network(arch: str, config: StudyConfig, n_classes: int) -> dict[str, Any]:
    architecture, baseline = architecture_of(config, arch), baseline_of(config, arch)
    space = space_of(config, arch).to_json()
    try:
        model = architecture.build(n_classes, baseline.values)
        parameters, macs = count_parameters(model), count_macs(model, config.image_size)
        identity = fingerprint(architecture, n_classes)
    except Exception as error:  # a network is the user's code and may raise anything
        reason = " ".join(str(error).split())
        size = f"{config.image_size}x{config.image_size}"
        raise BadInput(
            f"the network {arch!r} cannot predict an image of {size} pixels: {type(error).__name__}: {reason}"
        ) from error
    told = config.networks.get(arch, {})
    return {
        "title": architecture.title,
        "factory": told.get("factory"),
        "arguments": dict(told.get("arguments", {})),
        "hyperparameters": [name for name in baseline.values if belongs_to_network(name)],
        "baseline": dict(baseline.values),
        "parameters": parameters,
        "macs": macs,
        "fingerprint": identity,
        **({} if space == shared_space(config) else {"space": space}),
    }


def git_commit(root: Path) -> str | None:
    """Return the commit of this project's own checkout, with "-dirty" if it was changed.

    Args:
        root: the folder of the packages. Another repository may lie around it, or hold it untracked.

    Returns:
        None outside a checkout or without git.
    """
    # Git sets such variables in its hooks, where they name the repository of the hook.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*words: str) -> str:
        command = ["git", "-C", str(root), *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()

    try:
        is_own = git("rev-parse", "--show-prefix", "--is-inside-work-tree") == "true"
        if not is_own or not git("ls-files", str(Path(__file__).relative_to(_ROOT))):
            return None
        return git("describe", "--always", "--abbrev=40", "--dirty", "--exclude=*") or None
    except FileNotFoundError:
        return None


def _c_compiler() -> str | None:
    """Return the version line of cc, which compiles a kernel; None without it."""
    try:
        done = subprocess.run(["cc", "--version"], capture_output=True, text=True, errors="replace", check=False)
    except OSError:
        return None
    return done.stdout.partition("\n")[0].strip() or None
