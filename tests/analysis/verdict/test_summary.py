"""summary.json and the comparison table, of a synthetic study."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from analysis.results.load import load_results
from analysis.statistics.two_way_layout import proportion_interval
from analysis.verdict.summary import comparison_table, summarise
from analysis.verdict.summary_json import Conclusion, Summary
from tests.analysis.example_study import write_example

GROUPS = ["alexnet-baseline", "alexnet-tuned", "mobilenet-baseline", "mobilenet-tuned"]


def _summary(path: Path, **changed: Any) -> dict[str, Any]:
    """Return summary.json of an example study."""
    return summarise(load_results(write_example(path / "study", **changed))).as_json()


def test_groups_are_in_order_and_complete(tmp_path: Path) -> None:
    summary = _summary(tmp_path)
    assert list(summary)[-6:] == ["groups", "verdict", "files", "comparisons", "budget", "importance"]
    assert list(summary["groups"]) == GROUPS
    for group in summary["groups"].values():
        assert group["seeds"] == [0, 1, 2]
        assert set(group["config"]) == {"lr", "dropout"}
        assert set(group["latency_ms"]) == {"p50", "p90", "p99"}
        for metric in ("accuracy", "precision", "recall", "f1"):
            low, high = group[metric]["ci95"]
            assert 0 <= low < group[metric]["mean"] < high <= 1
            assert group[metric]["mean"] == pytest.approx(np.mean(group[metric]["values"]))
            assert group[metric]["sd"] == pytest.approx(np.std(group[metric]["values"], ddof=1))
    json.dumps(summary, allow_nan=False)


def test_numbers_are_those_of_the_predictions(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "study")
    summary = summarise(load_results(folder)).as_json()
    runs = [folder.final.read("mobilenet-tuned", seed) for seed in range(3)]
    correct = np.stack([run.logits.argmax(axis=1) == run.labels for run in runs])
    group = summary["groups"]["mobilenet-tuned"]
    assert group["accuracy"]["values"] == pytest.approx(correct.mean(axis=1).tolist())
    assert group["accuracy"]["ci95"] == pytest.approx(list(proportion_interval(correct)))
    f1 = [f1_score(run.labels, run.logits.argmax(axis=1), average="macro") for run in runs]
    assert group["f1"]["values"] == pytest.approx(f1)
    assert (group["parameters"], group["latency_ms"]["p50"]) == (13_898, pytest.approx(1.1))


def test_what_was_written_is_read_back_with_keys_of_other_versions(tmp_path: Path) -> None:
    summary = summarise(load_results(write_example(tmp_path / "study", seeds=1)))
    written = json.loads(json.dumps(summary.as_json(), allow_nan=False))
    older = written | {"of_an_older_version": 1}
    for key in Conclusion.model_fields:
        del older[key]
    assert Summary.model_validate(older).as_json() == older
    assert Summary.model_validate(written) == summary


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    group = _summary(tmp_path, seeds=1)["groups"]["alexnet-tuned"]
    assert (group["accuracy"]["sd"], group["accuracy"]["ci95"]) == (None, [None, None])
    assert len(group["accuracy"]["values"]) == 1


def test_a_tuned_configuration_that_is_the_baseline_is_repeated(tmp_path: Path) -> None:
    groups = _summary(tmp_path, same_as=["alexnet"])["groups"]
    assert list(groups) == GROUPS
    assert groups["alexnet-tuned"]["same_as"] == "alexnet-baseline"
    assert [name for name, group in groups.items() if "same_as" in group] == ["alexnet-tuned"]
    for key in ("accuracy", "precision", "recall", "f1", "config", "seeds", "latency_ms"):
        assert groups["alexnet-tuned"][key] == groups["alexnet-baseline"][key]


def test_baselines_alone(tmp_path: Path) -> None:
    summary = _summary(tmp_path, search=False)
    assert list(summary["groups"]) == ["alexnet-baseline", "mobilenet-baseline"]
    assert (summary["budget"], summary["verdict"], summary["comparisons"]) == ({}, None, [])


def test_diverged_runs_count_and_are_named(tmp_path: Path) -> None:
    groups = _summary(tmp_path, diverged=("mobilenet-tuned", 1))["groups"]
    assert groups["mobilenet-tuned"]["diverged_seeds"] == [1]
    assert groups["mobilenet-tuned"]["seeds"] == [0, 1, 2]
    assert groups["alexnet-tuned"]["diverged_seeds"] == []


def test_an_unfinished_study(tmp_path: Path) -> None:
    groups = _summary(tmp_path, skip=["mobilenet-tuned", ("alexnet-tuned", 1)], latency=False)["groups"]
    assert list(groups) == GROUPS[:3]
    assert groups["alexnet-tuned"]["seeds"] == [0, 2]
    assert groups["alexnet-tuned"]["latency_ms"] == {"p50": None, "p90": None, "p99": None}
    assert groups["alexnet-tuned"]["images_per_s"] is None


def test_the_budget_is_what_the_trials_spent(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "study", trials=6)
    trials = folder.read_trials()
    assert trials is not None
    budget = summarise(load_results(folder)).as_json()["budget"]
    for arch, macs in (("alexnet", 83_600_000), ("mobilenet", 3_900_000)):
        own = trials[trials["arch"] == arch]
        epochs = int(own["epochs"].sum())
        # 1437 images, a tenth of them for validation; a training step costs three passes.
        expected = {"trials": 6, "epochs": epochs, "macs": macs * epochs * (3 * 1293 + 144)}
        expected |= {f"confirm_{what}": 0 for what in ("runs", "epochs", "seconds", "macs")}
        assert budget[arch] == {**expected, "seconds": pytest.approx(own["seconds"].sum())}


def test_classes_that_the_test_set_lacks_count_in_macro_averages(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "study")
    before = summarise(load_results(folder)).as_json()["groups"]["alexnet-tuned"]
    study = folder.read_study()
    study["data"]["classes"] += ["a", "b"]
    folder.write_study(study)
    after = summarise(load_results(folder)).as_json()["groups"]["alexnet-tuned"]
    assert after["recall"]["mean"] == pytest.approx(before["recall"]["mean"] * 10 / 12)
    assert after["accuracy"] == before["accuracy"]


def test_the_table_says_what_the_summary_says(tmp_path: Path) -> None:
    made = summarise(load_results(write_example(tmp_path / "study")))
    summary, table = made.as_json(), comparison_table(made).set_index("group")
    assert list(table.index) == GROUPS
    for name, group in summary["groups"].items():
        row = table.loc[name]
        assert row["accuracy"] == group["accuracy"]["mean"]
        assert [row["accuracy_low"], row["accuracy_high"]] == group["accuracy"]["ci95"]
        assert row["f1"] == group["f1"]["mean"]
        assert row["latency_p99_ms"] == group["latency_ms"]["p99"]
        assert [row["lr"], row["dropout"]] == [group["config"]["lr"], group["config"]["dropout"]]
        assert row["seeds"] == 3
