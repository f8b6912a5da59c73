"""study.json of the synthetic study, and the study with other settings or predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.results.load import StudyResults
from analysis.results.study_json import Study

_RATE: dict[str, Any] = {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}
_SEVEN: dict[str, Any] = {
    "lr": _RATE,
    "weight_decay": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "label_smoothing": {"type": "float", "low": 0.0, "high": 0.2, "log": False, "step": 0.05},
    "model.width": {"type": "int", "low": 16, "high": 2048, "log": True},
    "model.depth": {"type": "int", "low": 1, "high": 9, "log": False, "step": 2},
    "model.norm": {"type": "categorical", "choices": ["None", "batch"]},
    "model.kernel": {"type": "categorical", "choices": [3, 5]},
}
# One hyperparameter, and seven of every kind.
SPACES = {"alexnet": {"lr": _RATE}, "resnet18": _SEVEN}


def with_config(study: Study, **changed: Any) -> Study:
    """Return the study with other settings."""
    return study.model_copy(update={"config": study.config.model_copy(update=changed)})


def study_json(
    name: str,
    titles: Mapping[str, str],
    baselines: Mapping[str, Mapping[str, float]],
    classes: Sequence[str],
    seeds: int,
    trials: int,
    epochs: int,
    search: bool,
    n_test: int,
) -> dict[str, Any]:
    """Return the contents of study.json."""
    return {
        "format": 2,
        "name": name,
        "created": "2025-01-02T03:04:05+00:00",
        "command": f"python -m study.run --preset quick --seeds {seeds}",
        "config": {
            "preset": "quick",
            "dataset": "digits",
            "data_dir": None,
            "trials": trials,
            "max_epochs": epochs,
            "seeds": seeds,
            "train_size": None,
            "archs": list(titles),
            "precision": "fp32",
            "baseline": not search,
        },
        "architectures": {
            arch: {
                "title": title,
                "baseline": dict(baselines[arch]),
                "parameters": 6_387_658 if index == 0 else 13_898,
                "macs": 83_600_000 if index == 0 else 3_900_000,
            }
            for index, (arch, title) in enumerate(titles.items())
        },
        "search": {
            "space": {
                "lr": {"low": 1e-4, "high": 1e-2, "log": True},
                "dropout": {"low": 0.0, "high": 0.7, "log": False},
            },
            "grace_period": 2,
            "reduction_factor": 3,
            "patience": 5,
            "batch_size": 128,
            "validation_fraction": 0.1,
        },
        "data": {
            "title": "Digits",
            "classes": list(classes),
            "n_train": 1437,
            "n_test": n_test,
            "fingerprint": "0123456789abcdef" * 4,
        },
        "environment": {
            "python": "3.11.7",
            "git_commit": "0123456789abcdef0123456789abcdef01234567",
            "c_compiler": "cc 12.2",
            "packages": {"torch": "2.0.0", "ray": "2.60.0"},
            "platform": "Linux",
            "processor": "a processor",
            "cpus": 2,
            "gpus": [],
            "memory_gib": 7.5,
        },
    }


def with_spaces(study: dict[str, Any], spaces: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the contents of study.json with these search spaces of networks."""
    networks = {arch: {**study["architectures"][arch], "space": dict(space)} for arch, space in spaces.items()}
    shared = {
        name: one for name, one in study["search"]["space"].items() if all(name in own for own in spaces.values())
    }
    search = study["search"] | {"space": shared}
    return study | {"architectures": study["architectures"] | networks, "search": search}


def places(dimension: Mapping[str, Any]) -> list[Any]:
    """Return some values of a dimension of study.json: all choices, or both ends of a range and the middle."""
    if "choices" in dimension:
        return list(dimension["choices"])
    low, high = dimension["low"], dimension["high"]
    middle = (low * high) ** 0.5 if dimension["log"] else (low + high) / 2
    return [low, round(middle) if dimension.get("type") == "int" else middle, high]


def with_leads(results: StudyResults, leads: Mapping[str, int | Sequence[int]], n_images: int = 1000) -> StudyResults:
    """Every group answers nine tenths of the images rightly in every run, and the leaders so many more.

    Args:
        results: the study.
        leads: by the name of a group, the lead of every run, or a lead for each run.
        n_images: number of test images.
    """
    labels = np.arange(n_images) % 10
    groups = {}
    for name, group in results.groups.items():
        runs = []
        for run, lead in zip(group.runs, np.broadcast_to(leads.get(name, 0), len(group.runs)), strict=True):
            is_right = np.arange(n_images) < 0.9 * n_images + lead
            logits = np.eye(10, dtype=np.float32)[np.where(is_right, labels, (labels + 1) % 10)]
            runs.append(replace(run, labels=labels, logits=logits))
        groups[name] = replace(group, runs=tuple(runs))
    return replace(results, groups=groups)
