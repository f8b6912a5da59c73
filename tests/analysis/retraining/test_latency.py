"""Inference time, parameters and multiply-accumulates belong to the network that a configuration builds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from torch import nn

from analysis.report.build import build_report
from analysis.report.tables import cost_table
from analysis.results.load import load_results
from analysis.results.run_folders import EPOCH_COLUMNS, FinalRun
from analysis.results.study_folder import StudyFolder
from analysis.retraining.latency import is_measured, measure_latency, networks_to_measure
from analysis.retraining.turns import LEAST_ROUNDS
from analysis.verdict.summary import comparison_table, summarise
from models.networks.registry import Architecture
from tests.analysis.example_study import write_example
from tests.analysis.pages import leave_out_figures
from tests.builders import Undecided

TITLES = {"small": "Small", "other": "Other"}
ONNX_TIMES = {"small": 8.0, "other": 0.25}
WIDTH: dict[str, Any] = {"model.width": {"type": "int", "low": 4, "high": 16, "log": False}}


def wide(num_classes: int, width: int = 4, dropout: float = 0.0) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(3 * 32 * 32, width), nn.Dropout(dropout), nn.Linear(width, num_classes)
    )


ARCHITECTURES = {
    "small": Architecture("small", "Small", wide, {"model.width": 4, "dropout": 0.1}),
    "other": Architecture("other", "Other", wide, {"dropout": 0.1}),
}


def final_run(arch: str, variant: str, config: dict[str, Any]) -> FinalRun:
    history = pd.DataFrame([(1, 1.0, 1.0, 0.5, 0.1, 0.5)], columns=list(EPOCH_COLUMNS))
    metrics = {"arch": arch, "group": f"{arch}-{variant}", "config": config, "is_tuned": variant == "tuned"}
    return FinalRun(f"{arch}-{variant}", 0, metrics, history, np.zeros((1, 2)), np.zeros(1, int))


@pytest.mark.usefixtures("few_rounds")
def test_each_distinct_network_is_measured_once(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    folder.final.write(final_run("small", "baseline", {"lr": 1e-3, "model.width": 4, "dropout": 0.1}))
    folder.final.write(final_run("small", "tuned", {"lr": 1e-2, "model.width": 16, "dropout": 0.1}))
    folder.final.write(final_run("other", "tuned", {"lr": 1e-2, "dropout": 0.5}))
    networks = networks_to_measure(ARCHITECTURES, folder)
    assert [*networks] == ["small", "other", "small-tuned"], "dropout alone builds the same network"
    assert not is_measured(ARCHITECTURES, folder)
    latency = measure_latency(networks, n_classes=10, threads=1)
    assert [latency[name]["parameters"] for name in networks] == [12_342, 12_342, 49_338]
    assert [latency[name]["macs"] for name in networks] == [4 * 3082, 4 * 3082, 16 * 3082]
    assert all(one["latency_ms"]["p50"] > 0 and one["device"] == "CPU" for one in latency.values())
    folder.write_latency(latency)
    assert is_measured(ARCHITECTURES, folder)
    folder.final.write(final_run("small", "tuned", {"lr": 1e-2, "model.width": 8, "dropout": 0.1}))
    assert not is_measured(ARCHITECTURES, folder), "another configuration was chosen since"


@pytest.fixture
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure for a moment, because no test looks at the times."""
    monkeypatch.setattr("analysis.retraining.latency.THROUGHPUT_BATCH_SIZE", 1)
    monkeypatch.setattr("analysis.retraining.turns.CALLS_PER_ROUND", 5)
    monkeypatch.setattr("analysis.retraining.turns.MOST_ROUNDS", LEAST_ROUNDS)


@pytest.mark.onnx
@pytest.mark.usefixtures("few_rounds")
def test_a_network_is_measured_in_onnx_runtime_too() -> None:
    small = {"small": replace(ARCHITECTURES["small"], baseline={"dropout": 0.1, "model.width": 4})}
    measured = measure_latency(small, n_classes=10, threads=1)["small"]["onnx"]
    there = measured["latency_ms"]
    assert 0 < there["p50"] <= there["p90"] <= there["p99"] and measured["images_per_s"] > 0


@pytest.mark.onnx
@pytest.mark.usefixtures("few_rounds")
def test_a_network_without_an_onnx_form_is_measured_in_pytorch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    undecided = {"undecided": Architecture("undecided", "Undecided", Undecided)}
    measured = measure_latency(undecided, n_classes=3, threads=1)["undecided"]
    assert measured["latency_ms"]["p50"] > 0
    assert measured["onnx"]["failed"].startswith("torch cannot write it as ONNX (")
    monkeypatch.setattr("models.onnx_network.find_spec", lambda name: None)
    assert "onnx" not in measure_latency(undecided, n_classes=3, threads=1)["undecided"]


def test_the_report_shows_the_time_in_onnx_runtime(study: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out_figures(monkeypatch)
    latency = study.read_latency()
    assert latency is not None
    there = {arch: {"onnx": {"latency_ms": {"p50": p50, "p90": p50, "p99": p50}}} for arch, p50 in ONNX_TIMES.items()}
    study.write_latency({arch: measured | there[arch] for arch, measured in latency.items()})
    results = load_results(study)
    summary = summarise(results)
    assert summary.as_json()["groups"]["other-tuned"]["onnx_latency_ms"]["p50"] == 0.25
    table = cost_table(results, summary)
    assert [column.full_title() for column in table.columns][4] == "ONNX Runtime p50 (ms)"
    assert {row[0]: row[4] for row in table.rows} == {"Small (baseline)": 8.0, "Small (tuned)": None, "Other": 0.25}
    page = build_report(study).read_text()
    assert "ONNX Runtime p50" in page and "ONNX Runtime predicted the same" in page
    in_csv = comparison_table(summary).set_index("group")["onnx_latency_p50_ms"].dropna()
    assert dict(in_csv) == {"small-baseline": 8.0, "other-baseline": 0.25, "other-tuned": 0.25}


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    lr = {"lr": {"low": 1e-4, "high": 1e-2, "log": True}}
    return write_example(tmp_path / "s", titles=TITLES, spaces={"small": lr | WIDTH, "other": lr}, seeds=5, trials=6)


def resized(study: StudyFolder) -> StudyFolder:
    """Make the tuned width of Small another one than the baseline's, and measure it."""
    for seed in range(5):
        run = study.final.read("small-tuned", seed)
        study.final.write(
            FinalRun(**vars(run) | {"metrics": run.metrics | {"config": {"lr": 1e-3, "model.width": 16}}})
        )
    return study


def test_the_report_shows_the_cost_of_the_tuned_network(study: StudyFolder) -> None:
    latency = resized(study).read_latency()
    assert latency is not None
    quantiles = {"p50": 7.0, "p90": 7.5, "p99": 8.0}
    study.write_latency(
        latency | {"small-tuned": latency["small"] | {"latency_ms": quantiles, "parameters": 100, "macs": 50}}
    )
    results = load_results(study)
    summary = summarise(results)
    before, tuned = summary.groups["small-baseline"], summary.groups["small-tuned"]
    assert (before.latency_ms.p50, before.parameters, before.macs) == (2.1, 6_387_658, 83_600_000)
    assert (tuned.latency_ms.p50, tuned.parameters, tuned.macs) == (7.0, 100, 50)
    assert summary.price == (
        "Small takes 6.4 times as long as Other for one image on this study's CPU, but Other has 140 times as many"
        " parameters."
    )
    assert [row[0] for row in cost_table(results, summary).rows] == ["Small (baseline)", "Small (tuned)", "Other"]
    assert summary.budget["small"].macs is None, "trials had networks of different sizes"
    assert summary.budget["other"].macs is not None


def test_the_cost_of_a_tuned_network_that_was_not_measured_is_unknown(study: StudyFolder) -> None:
    summary = summarise(load_results(resized(study)))
    tuned = summary.groups["small-tuned"]
    assert (tuned.latency_ms.p50, tuned.images_per_s, tuned.parameters, tuned.macs) == (None, None, None, None)
    assert summary.price is None
    assert summary.groups["small-baseline"].parameters == 6_387_658
