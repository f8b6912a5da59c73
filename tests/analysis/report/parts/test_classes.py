"""The table of classes agrees with scikit-learn, and serves many classes with long names."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from analysis.report.parts.classes import class_differences, class_scores, class_table, confusion_counts
from analysis.results.load import StudyResults, load_results
from analysis.statistics.comparison import compare
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


def test_two_networks_have_the_difference_of_their_recalls(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "s", seeds=6, n_test=2000, search=False, titles={"a": "A", "b": "B"})
    results = load_results(folder)
    table = class_table(results)
    assert table.spans()[-1] == ("A \N{MINUS SIGN} B", 3)
    a, b = (group.correct() for group in results.groups.values())
    labels = next(iter(results.groups.values())).labels
    expected = [compare(a[:, labels == index], b[:, labels == index]) for index in range(10)]
    for row, one in zip(table.rows, expected, strict=False):
        assert row[-3:-1] == (pytest.approx(one.mean), pytest.approx(one.ci95))
    paired = [compare(a[:, labels == index], b[:, labels == index], paired=True) for index in range(10)]
    assert [one.ci95 for one in expected] != [one.ci95 for one in paired]
    shown = [row for row in table.rows if row[-1] < 0.05]
    said = class_differences(results)
    if shown:
        first = max(shown, key=lambda row: abs(row[-3]))
        assert f"for {len(shown)} of 10 classes (Holm's correction): {first[0]} ({100 * first[-3]:+.2f} points)" in said
    else:
        assert said.startswith("No difference in recall is shown between A and B for any class")


def test_few_seeds_or_another_number_of_networks_have_no_differences(tmp_path: Path) -> None:
    few = load_results(write_example(tmp_path / "few", seeds=4, search=False))
    titles = {"a": "A", "b": "B", "c": "C"}
    three = load_results(write_example(tmp_path / "three", seeds=5, search=False, titles=titles))
    for results in (few, three):
        assert class_differences(results) == ""
        assert class_table(results).spans()[-1][1] == 3
        assert len(class_table(results).rows[0]) == 2 + 3 * len(results.architectures)
