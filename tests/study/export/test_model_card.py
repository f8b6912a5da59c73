"""The card of an exported network says what the verdict says."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from analysis.results.load import load_results
from analysis.results.study_folder import StudyFolder
from analysis.verdict.summary import summarise
from models.data import ChannelStatistics
from study.export.model_card import WHICH_QUESTION, write_card
from study.export.onnx_file import OnnxFile
from study.predict.predictor import Predictor
from tests.analysis.example_study import write_example
from tests.analysis.example_study_json import with_leads


def card(folder: StudyFolder) -> str:
    """Return the card of a run of AlexNet's."""
    made = folder.final.read("alexnet-tuned", 0)
    statistics = ChannelStatistics(np.zeros(3, np.float32), np.ones(3, np.float32))
    classes = [str(digit) for digit in range(10)]
    predictor = Predictor(
        "alexnet-tuned/seed-0", "alexnet", classes, None, 32, None, made, nn.Identity(), statistics, "fp32", 1000
    )
    return write_card(folder, predictor, OnnxFile(folder.path / "winner.onnx", "logits", b"onnx", [])).read_text()


@pytest.mark.parametrize("confirm", [True, False])
def test_the_card_has_both_intervals_and_the_advice(confirm: bool, tmp_path: Path) -> None:
    folder = write_example(tmp_path / "study", seeds=5, trials=10, confirm=confirm)
    for group in with_leads(load_results(folder), {"alexnet-tuned": 1}, 5000).groups.values():
        for run in group.runs:
            folder.final.write(run)
    text, summary = card(folder), summarise(load_results(folder))
    assert summary.accuracies is not None and "(95 % interval" in summary.accuracies and summary.accuracies in text
    assert summary.advice is not None and summary.advice.startswith("Take MobileNet-like: ")
    assert f"\n\n{summary.advice}\n" in text
    assert (summary.luck is not None and f"\n\n{summary.luck}\n{WHICH_QUESTION}\n" in text) == confirm
    assert (WHICH_QUESTION in text) == confirm
