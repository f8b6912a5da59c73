"""Notices that winner.onnx is of an earlier winner, as after a resumed study."""

import hashlib
from pathlib import Path

from analysis.command import typed_command
from analysis.results.study_folder import StudyFolder

WINNER = "winner.onnx"


def weights_digest(path: Path) -> str:
    """Return the SHA-256 of a file of weights, which the metadata of its ONNX file name."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def outdated_export(folder: StudyFolder) -> str | None:
    """Return a line if winner.onnx is not made of the weights that best.json names; None if it is, or is not there.

    Raises:
        DamagedFile: if best.json cannot be read.
    """
    file, best = folder.path / WINNER, folder.read_best()
    if not file.is_file():
        return None
    if best is None:
        return f"{file} is of an earlier winner, and the study has no winner now: remove it"
    if weights_digest(folder.path / best["weights"]).encode() in file.read_bytes():
        return None
    return f"{file} is not of this winner: write it anew with {typed_command('study.export')} {folder.path}"
