"""What a report needs of study.json, so that a file that lacks some of it is named instead of tripped over."""

from typing import Any

from analysis.results.files import DamagedFile
from analysis.results.study_folder import StudyFolder

_NUMBER = (int, float)
_RANGE = {"low": _NUMBER, "high": _NUMBER, "log": bool}
_NETWORK = {"title": str, "baseline": dict, "parameters": int, "macs": _NUMBER}
_STUDY: dict[str, Any] = {
    "name": str,
    "created": str,
    "command": str,
    "config": {"baseline": bool, "trials": int, "max_epochs": int, "seeds": int, "precision": str},
    "architectures": dict,
    "search": {
        "space": {"lr": _RANGE, "dropout": _RANGE},
        "grace_period": int,
        "reduction_factor": int,
        "patience": int,
        "batch_size": int,
        "validation_fraction": _NUMBER,
    },
    "data": {"title": str, "classes": list, "n_train": int, "n_test": int, "fingerprint": str},
    "environment": {
        "python": str,
        "packages": dict,
        "platform": str,
        "processor": str,
        "cpus": int,
        "gpus": list,
        "memory_gib": _NUMBER,
    },
}


def check_study(folder: StudyFolder) -> None:
    """Raises DamagedFile unless study.json is an object that holds what the report needs of it."""
    study = folder.read_study()
    networks = study.get("architectures")
    shape = _STUDY | {"architectures": dict.fromkeys(networks, _NETWORK) if isinstance(networks, dict) else dict}
    if fault := _fault(study, shape, ""):
        raise DamagedFile(f"{folder.path / 'study.json'} is not the description of a study: {fault}")


def _fault(value: Any, shape: Any, name: str) -> str | None:
    """The first thing that is missing or of the wrong type, in words."""
    if not isinstance(shape, dict):
        return None if isinstance(value, shape) else f"{name} is not what it should be"
    if not isinstance(value, dict):
        return f"{name} is not an object"
    for key, inner in shape.items():
        path = f"{name}.{key}".lstrip(".")
        if key not in value:
            return f"{path} is missing"
        if fault := _fault(value[key], inner, path):
            return fault
    return None
