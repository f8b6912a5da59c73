"""Describes each study of a folder in a line: its state, size, data, networks and verdict."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.numbers import DASH, columns
from analysis.results.files import DamagedFile, read_json
from analysis.results.study_folder import StudyFolder
from study.storage.lock import is_held

_HEADINGS = ["study", "last session (UTC)", "state", "size", "data", "networks", "verdict"]


def studies_text(folders: Sequence[StudyFolder]) -> str:
    """Return a line for each study under a line of headings. A damaged study has the state "damaged".

    Args:
        folders: studies that have begun, in the order of the lines.
    """
    rows = [_HEADINGS]
    for folder in folders:
        try:
            row = _row(folder)
        except DamagedFile:
            row = [DASH, "damaged", _size(folder.path), DASH, DASH, DASH]
        rows.append([str(folder.path), *row])
    return columns(rows)


def _row(folder: StudyFolder) -> list[str]:
    study = folder.read_study()
    networks = study.get("architectures") or {}
    return [
        folder.worked_on()[:16].replace("T", " "),
        _state(folder, study),
        _size(folder.path),
        str((study.get("data") or {}).get("title", DASH)),
        ", ".join(str(network.get("title", arch)) for arch, network in networks.items()) or DASH,
        _verdict(folder),
    ]


def _state(folder: StudyFolder, study: dict[str, Any]) -> str:
    """Return "running", "finished", "failed" if no network has a result, or how far the study has come."""
    if is_held(folder.path):
        return "running"
    seeds = (study.get("looks") or {}).get("reached") or (study.get("config") or {}).get("seeds", 0)
    planned, made = set(range(seeds)), folder.final.numbers()
    networks, failed = set(study.get("architectures") or {}), _failed(folder, study)
    if not made:
        return "failed" if failed and failed >= networks else "unfinished: search"
    baselines = [set(made.get(f"{arch}-baseline", ())) for arch in networks - failed]
    # Runs are made seed by seed, so a network without tuned runs is tuned as its baseline.
    is_trained = all(planned <= seeds for seeds in [*baselines, *map(set, made.values())])
    if is_trained and folder.latency.exists() and (folder.report / "report.html").exists():
        return "finished"
    return f"unfinished: {sum(map(len, made.values()))} final runs"


def _failed(folder: StudyFolder, study: dict[str, Any]) -> set[str]:
    """Return the networks whose trials all failed, so that they have no final runs."""
    trials = folder.read_trials()
    if trials is None:
        return set()
    rows = trials["arch"][trials["status"] == "FAILED"].value_counts()
    return {str(arch) for arch, failed in rows.items() if failed == (study.get("config") or {}).get("trials")}


def _verdict(folder: StudyFolder) -> str:
    """Return the headline of the report, or the call if an older version wrote it."""
    path = folder.report / "summary.json"
    if not path.exists():
        return DASH
    summary = read_json(path)
    return str(summary.get("headline") or (summary.get("verdict") or {}).get("call") or DASH)


def _size(path: Path) -> str:
    """Return the megabytes of all files below a folder. A file that vanishes meanwhile does not count."""
    total = 0
    for place, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                continue
    return f"{total / 1e6:,.1f} MB"
