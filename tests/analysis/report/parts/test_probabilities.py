"""The tables of probabilities and of other metrics show what the statistics say."""

from pathlib import Path

import numpy as np
import pytest

from analysis.report.parts.probabilities import calibration_table, metric_differences_table, pair_in_words
from analysis.results.load import StudyResults, load_results
from analysis.statistics.predictions.calibration import calibration
from analysis.statistics.predictions.paired_predictions import error_kappa, metric_differences
from tests.analysis.example_study import write_example


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    path = tmp_path_factory.mktemp("studies") / "s"
    return load_results(write_example(path, seeds=3, trials=3, n_test=1000, skip=[("alexnet-tuned", 0)]))


def test_a_network_has_a_row_of_calibration(results: StudyResults) -> None:
    group = results.groups["alexnet-tuned"]
    found = calibration([run.logits for run in group.runs], group.labels)
    cells = calibration_table(results).cells()
    assert [row[0] for row in cells] == ["AlexNet (tuned)", "MobileNet-like (tuned)"]
    assert cells[0][1] == f"{100 * found.ece.mean():.2f} ± {100 * found.ece.std(ddof=1):.2f}"
    assert cells[0][2] == f"{found.brier.mean:.4f}\n[{found.brier.low:.4f}, {found.brier.high:.4f}]"
    assert cells[0][3].startswith(f"{found.log_loss.mean:.4f}\n[")


def test_two_networks_are_compared_on_their_common_seeds(results: StudyResults) -> None:
    a, b = results.groups["alexnet-tuned"], results.groups["mobilenet-tuned"]
    expected = metric_differences(a.predictions(), b.predictions()[1:], a.labels, 10)
    rows = metric_differences_table(results).rows
    assert [row[0] for row in rows] == ["precision", "recall", "F1"]
    assert rows[2][1:] == (expected["f1"].mean, (expected["f1"].low, expected["f1"].high))
    kappa = error_kappa(a.correct(), b.correct()[1:])
    said = pair_in_words(results)
    assert said.startswith("A is AlexNet (tuned), and B is MobileNet-like (tuned). The kappa of their errors is ")
    assert f"is {kappa:.2f}." in said and np.isfinite(kappa)


def test_another_number_of_networks_or_one_seed_is_not_compared(tmp_path: Path) -> None:
    three = {"a": "A", "b": "B", "c": "C"}
    for name, study in (("three", {"titles": three, "seeds": 2}), ("one", {"seeds": 1})):
        results = load_results(write_example(tmp_path / name, search=False, **study))  # type: ignore[arg-type]
        assert metric_differences_table(results).rows == [] and pair_in_words(results) == ""
        assert len(calibration_table(results).rows) == len(results.architectures)
    assert "±" not in calibration_table(results).cells()[0][1]
    assert "[" not in calibration_table(results).cells()[0][2], "one seed has no interval"
