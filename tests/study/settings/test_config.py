"""Settings, presets, and what is refused whatever the data and the machine are."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.networks.registry import ARCHITECTURES
from models.training.recipe import TrainingConfig, steps_per_epoch
from study.errors import BadInput
from study.settings.check import check
from study.settings.config import PRESETS, StudyConfig
from study.settings.networks import baseline_of
from study.settings.search_space import RUNGS, SEARCH_SPACE


def test_the_documented_presets() -> None:
    full, laptop, quick = PRESETS["full"], PRESETS["laptop"], PRESETS["quick"]
    assert (full.dataset, full.trials, full.max_epochs, full.seeds) == ("cifar10", 32, 50, 10)
    assert (laptop.dataset, laptop.trials, laptop.max_epochs, laptop.seeds) == ("cifar10", 8, 12, 5)
    assert laptop.train_size == 5000
    assert quick.dataset == "digits"
    assert all(preset.preset == name for name, preset in PRESETS.items())
    assert all(preset.archs == ("alexnet", "mobilenet") for preset in PRESETS.values())
    for preset in PRESETS.values():
        check(preset)


def test_the_documented_search() -> None:
    assert SEARCH_SPACE.to_json() == {
        "lr": {"low": 1e-4, "high": 1e-2, "log": True},
        "dropout": {"low": 0.0, "high": 0.7, "log": False},
    }
    assert [RUNGS.first(cap) for cap in (1, 3, 6, 12, 20, 50)] == [1, 2, 3, 5, 8, 8]
    assert RUNGS.reduction_factor == 2


@pytest.mark.parametrize(
    ("n_train", "cap", "expected"),
    # 60 steps of 128 images, nine tenths of all: 45,000 and 4,500 give them in a few epochs, 540 in twelve. Of 427
    # images 43 are set aside, which leaves 3 steps an epoch, not 4.
    [
        (427, 50, 20),
        (50_000, 50, 8),
        (5_000, 12, 5),
        (2_000, 20, 8),
        (600, 50, 12),
        (600, 20, 12),
        (600, 12, 12),
        (600, 8, 8),
    ],
)
def test_no_rung_lies_before_so_many_optimizer_steps(n_train: int, cap: int, expected: int) -> None:
    assert RUNGS.first(cap, steps_per_epoch(n_train, 128)) == expected


@pytest.mark.parametrize(("arch", "dropout"), [("alexnet", 0.5), ("mobilenet", 0.0)])
def test_the_documented_baseline(arch: str, dropout: float) -> None:
    values = {"lr": 1e-3, "dropout": dropout}
    expected = TrainingConfig(values, max_epochs=50, patience=5, batch_size=128, grace_steps=60)
    assert baseline_of(StudyConfig(), arch) == expected
    assert baseline_of(replace(StudyConfig(), max_epochs=7), arch) == replace(expected, max_epochs=7)


def test_the_baseline_of_smaller_batches_learns_slower_by_the_root_rule() -> None:
    recipe = baseline_of(StudyConfig(batch_size=32, patience=7, max_epochs=9), "alexnet")
    assert (recipe.values, recipe.max_epochs) == ({"lr": 5e-4, "dropout": 0.5}, 9)
    assert (recipe.patience, recipe.batch_size) == (7, 32)


@pytest.mark.parametrize("arch", list(ARCHITECTURES))
def test_baselines_lie_within_the_search_space(arch: str) -> None:
    baseline = baseline_of(StudyConfig(), arch)
    assert all(SEARCH_SPACE.holds(name, value) for name, value in baseline.values.items())


@pytest.mark.parametrize("config", [*PRESETS.values(), StudyConfig(data_dir=Path("/a b"), archs=("x",), seed=2**70)])
def test_a_configuration_comes_back_from_json(config: StudyConfig) -> None:
    assert StudyConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_a_configuration_from_before_the_kernels_flag_uses_them() -> None:
    values = StudyConfig(kernels="off").to_json()
    del values["kernels"]
    assert StudyConfig.from_json(values).kernels == "auto"


def test_a_configuration_from_before_the_bit_depth_reads_16_bits_as_they_are() -> None:
    values = StudyConfig().to_json()
    del values["bit_depth"]
    assert StudyConfig.from_json(values).bit_depth == 16


def test_a_configuration_from_before_the_image_size_has_32_pixels() -> None:
    values = StudyConfig(image_size=64).to_json()
    del values["image_size"]
    assert StudyConfig.from_json(values).image_size == 32


def test_a_configuration_from_before_the_margin_and_the_limits_has_half_a_point_and_none() -> None:
    values = StudyConfig(margin=2.0, budget_hours=1.0, max_parameters=9, max_latency_ms=1.0).to_json()
    for name in ("margin", "budget_hours", "max_parameters", "max_latency_ms"):
        del values[name]
    config = StudyConfig.from_json(values)
    assert (config.margin, config.budget_hours, config.max_parameters, config.max_latency_ms) == (0.5, None, None, None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "its settings lack address, archs, baseline, "),
        ({name: value for name, value in StudyConfig().to_json().items() if name != "confirm"}, "lack confirm$"),
        ({**StudyConfig().to_json(), "new": 1}, "this version does not know its setting new"),
        ({**StudyConfig().to_json(), "archs": 3}, "its settings cannot be read"),
        ({**StudyConfig().to_json(), "trials": "many"}, r"its settings cannot be read \(trials is 'many'\)"),
        (None, "its settings cannot be read"),
    ],
)
def test_what_is_no_configuration(values: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        StudyConfig.from_json(values)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"trials": 0}, "--trials must be at least 1, not 0"),
        ({"max_epochs": 0}, "--max-epochs must be at least 1, not 0"),
        ({"seeds": -2}, "--seeds must be at least 1, not -2"),
        ({"seeds": "auto", "baseline": True}, "--seeds auto stops by the verdict, and --baseline has none: give a"),
        ({"train_size": 0}, "--train-size must be at least 1, not 0"),
        ({"bit_depth": 7}, "--bit-depth must be from 8 to 16, not 7"),
        ({"bit_depth": 17}, "--bit-depth must be from 8 to 16, not 17"),
        ({"image_size": 7}, "--image-size must be from 8 to 224, not 7"),
        ({"image_size": 225}, "--image-size must be from 8 to 224, not 225"),
        ({"concurrency": 0}, "--concurrency must be at least 1, not 0"),
        ({"seed": -1}, "--seed must be at least 0, not -1"),
        ({"cpus_per_trial": 0.0}, "--cpus-per-trial must be at least 0.001"),
        ({"cpus_per_trial": float("nan")}, "--cpus-per-trial must be at least 0.001"),
        ({"cpus_per_trial": float("inf")}, "--cpus-per-trial must be at least 0.001"),
        ({"gpus_per_trial": -0.5}, "--gpus-per-trial must be 0 or at least 0.001"),
        ({"gpus_per_trial": float("nan")}, "--gpus-per-trial must be 0 or at least 0.001"),
        ({"precision": "fp16"}, "there is no precision 'fp16': did you mean bf16"),
        ({"kernels": "on"}, "there is no choice of kernels 'on': choose from auto, off"),
        ({"archs": ()}, "--archs needs at least one"),
        ({"batch_size": 0}, "--batch-size must be at least 1, not 0"),
        ({"patience": 0}, "--patience must be at least 1, not 0"),
        ({"grace_steps": -1}, "--grace-steps must be at least 0, not -1"),
        ({"first_lrs": (1e-3, 0.0)}, "--first-lrs must be positive, not 0.0"),
        ({"first_lrs": (float("inf"),)}, "--first-lrs must be positive, not inf"),
        ({"max_parameters": 0}, "--max-parameters must be at least 1, not 0"),
        ({"max_latency_ms": 0.0}, "--max-latency-ms must be positive, not 0.0"),
        ({"budget_hours": float("nan")}, "--budget-hours must be positive, not nan"),
        ({"budget_hours": -1.0}, "--budget-hours must be positive, not -1.0"),
        ({"margin": -0.1}, "--margin must be from 0 to below 100 percentage points, not -0.1"),
        ({"margin": 100.0}, "--margin must be from 0 to below 100 percentage points, not 100"),
        ({"margin": float("nan")}, "--margin must be from 0 to below 100 percentage points, not nan"),
    ],
)
def test_what_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message) as error:
        check(replace(StudyConfig(), **changed))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changed",
    [{"trials": 1, "max_epochs": 1, "seeds": 1}, {"seed": 0}, {"gpus_per_trial": 0.0}, {"margin": 0.0}],
)
def test_what_is_not(changed: dict[str, Any]) -> None:
    check(replace(StudyConfig(), **changed))


def test_equal_recipes_are_equal_and_have_one_hash() -> None:
    recipe, same = (StudyConfig().training({"lr": 1e-3, "dropout": 0.5}) for _ in range(2))
    assert (recipe, hash(recipe)) == (same, hash(same))
    assert recipe != StudyConfig().training({"lr": 1e-3, "dropout": 0.4})


def test_an_older_study_goes_on_by_its_own_rule_of_patience_and_from_its_checkpoints() -> None:
    settings = StudyConfig().to_json()
    del settings["grace_steps"]
    older = StudyConfig.from_json(settings)
    assert older.grace_steps == 0
    checkpoint = {"lr": 1e-3, "dropout": 0.5, "max_epochs": 50, "patience": 5, "batch_size": 128}
    assert older.training({"lr": 1e-3, "dropout": 0.5}).to_json() == checkpoint
    assert StudyConfig().training({"lr": 1e-3, "dropout": 0.5}).to_json() == {"grace_steps": 60, **checkpoint}
