"""The table of classes agrees with scikit-learn, and serves many classes with long names."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from analysis.report.parts.classes import class_scores, class_table, confusion_counts
from analysis.results.load import StudyResults, load_results
from tests.analysis.example_study import write_example


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    names = [f"{'a_name_without_any_space_' * 3}{number}" if number % 2 else f"猫 {number}" for number in range(200)]
    path = tmp_path_factory.mktemp("studies") / "many"
    return load_results(write_example(path, classes=names, n_test=300, seeds=2, same_as=["mobilenet"], trials=3))


def test_scores_are_scikit_learns(many: StudyResults) -> None:
    group = many.groups["alexnet-tuned"]
    counts = confusion_counts(group, 200)
    scores = class_scores(counts)
    for run, predictions in enumerate(group.predictions()):
        np.testing.assert_array_equal(counts[run], confusion_matrix(group.labels, predictions, labels=range(200)))
        expected = precision_recall_fscore_support(group.labels, predictions, labels=range(200), zero_division=0)
        occurs = expected[3] > 0
        assert not occurs.all() and occurs.any()
        for values, wanted in zip((scores.precision, scores.recall, scores.f1), expected[:3], strict=True):
            np.testing.assert_allclose(values[run, occurs], wanted[occurs])
            assert np.isnan(values[run, ~occurs]).all()


def test_the_hardest_of_many_classes_comes_first(many: StudyResults) -> None:
    table = class_table(many)
    assert len(table.rows) == 200
    means = np.array([(row[4] + row[7]) / 2 for row in table.rows])
    known = means[np.isfinite(means)]
    assert (np.diff(known) >= 0).all() and np.isnan(means[len(known) :]).all(), "classes without images come last"
    images = {row[0]: row[1] for row in table.rows}
    labels = many.groups["alexnet-tuned"].labels
    assert images["猫 0"] == (labels == 0).sum()
    assert table.spans() == [("", 2), ("AlexNet (tuned)", 3), ("MobileNet-like (tuned = baseline)", 3)]


def test_few_classes_keep_their_order(tmp_path: Path) -> None:
    results = load_results(write_example(tmp_path / "s", seeds=2, search=False))
    assert [row[0] for row in class_table(results).rows] == results.classes
    assert class_table(results).spans()[1] == ("AlexNet (baseline)", 3)
