"""winner.onnx of an earlier winner is noticed from the file alone, without the packages of the extra `onnx`."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from analysis.verdict.shipping.exported import outdated_export, weights_digest
from tests.study.export.trained import write_trained


def test_a_file_of_other_weights_is_named_with_the_remedy(tmp_path: Path) -> None:
    folder = write_trained(tmp_path / "study", "toy", factory="tests.builders:ToyNet")
    assert outdated_export(folder) is None
    file = folder.path / "winner.onnx"
    file.write_bytes(b"...weights_sha256..." + weights_digest(folder.final.weights_of("toy-baseline", 0)).encode())
    assert outdated_export(folder) is None

    run = folder.final.read("toy-baseline", 0, weights=True)
    folder.final.write(replace(run, weights={name: np.zeros_like(value) for name, value in run.weights.items()}))
    line = f"{file} is not of this winner: write it anew with python -m study.export {folder.path}"
    assert outdated_export(folder) == line

    folder.write_best(None)
    line = f"{file} is of an earlier winner, and the study has no winner now: remove it"
    assert outdated_export(folder) == line
