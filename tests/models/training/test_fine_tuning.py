"""Fine-tuning: weights from a file, fresh and frozen parts, given normalisation, and files that do not fit."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.data import ChannelStatistics
from models.networks.inspection.checks import NetworkFault, check_network
from models.networks.inspection.fingerprint import difference, fingerprint
from models.networks.registry import Architecture
from models.networks.starting import Start
from models.training.loop import TrainingRun
from models.training.recipe import TrainingConfig
from tests.builders import bits, coloured, train, training_data, training_run

CONFIG = TrainingConfig({"lr": 1e-2}, max_epochs=3, batch_size=16)
FROZEN = ("features.",)


class SmallNet(nn.Module):
    """A convolution, a batch normalisation and a classifier."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.AvgPool2d(4), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten()
        )
        self.fc = nn.Linear(4 * 6 * 6, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.features(images))
        return logits


SMALL = Architecture("small", "Small", SmallNet)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _run(seed: int = 0, config: TrainingConfig = CONFIG, **told: Any) -> TrainingRun:
    architecture = replace(SMALL, start=Start.from_json(told))
    return training_run(architecture, training_data(coloured(60)), config, seed=seed)


@pytest.fixture(params=[".safetensors", ".pth"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The weights of a network that was trained on other seeds."""
    path = tmp_path / f"trained{request.param}"
    weights = {name: value.contiguous() for name, value in train(_run(seed=9)).best_weights().items()}
    if path.suffix == ".pth":
        torch.save(weights, path)
    else:
        save_file(weights, path)
    return path


def test_training_starts_from_the_file_and_leaves_frozen_parts_to_the_bit(file: Path) -> None:
    given = bits(train(_run(seed=9)).best_weights())
    run = _run(weights=str(file), skip=["fc."], freeze=FROZEN)
    start, fresh = bits(run.best_weights()), bits(_run().best_weights())
    assert {name: bits for name, bits in start.items() if name.startswith("features.")} == {
        name: bits for name, bits in given.items() if name.startswith("features.")
    }
    assert start["fc.weight"] == fresh["fc.weight"] != given["fc.weight"]
    end = bits(train(run).state_dict()["model"])
    assert {name for name in end if end[name] != start[name]} == {"fc.weight", "fc.bias"}
    # The optimizer knows the trained weights alone.
    assert [len(group["params"]) for group in run.state_dict()["optimizer"]["param_groups"]] == [2]


def test_weights_from_a_file_are_trained_if_nothing_is_frozen(file: Path) -> None:
    run = _run(weights=str(file))
    start = bits(run.best_weights())
    end = bits(train(run).state_dict()["model"])
    assert all(end[name] != start[name] for name in end)


def test_a_frozen_batch_normalisation_predicts_with_its_running_statistics_in_training() -> None:
    run = _run(freeze=["features.2.running"])
    modes = []
    batch_norm = run._model.features[2]
    batch_norm.register_forward_hook(lambda module, *_: modes.append((module.training, run._model.training)))
    before = bits(run.best_weights())
    train(run)
    after = bits(run.state_dict()["model"])
    assert set(modes) == {(False, True), (False, False)}
    assert after["features.2.running_mean"] == before["features.2.running_mean"]
    assert after["features.2.weight"] != before["features.2.weight"], "only its statistics are frozen"


def test_a_resumed_run_with_frozen_parts_goes_on_bit_by_bit() -> None:
    straight, first, resumed = (_run(freeze=FROZEN) for _ in range(3))
    first.train_epoch()
    stored = io.BytesIO()
    torch.save(first.state_dict(), stored)
    stored.seek(0)
    resumed.load_state_dict(torch.load(stored, weights_only=True))
    assert bits(train(resumed).state_dict()["model"]) == bits(train(straight).state_dict()["model"])


def test_images_are_normalised_as_told() -> None:
    data = training_data(coloured(60))
    given = {"mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]}
    expected = {
        "training": data.statistics,
        "none": ChannelStatistics(np.zeros(3, np.float32), np.full(3, 255, np.float32)),
        "given": ChannelStatistics(*(255 * np.array(given[key], np.float32) for key in ("mean", "deviation"))),
    }
    losses = set()
    for told, statistics in expected.items():
        run = _run(normalisation=given if told == "given" else told)
        np.testing.assert_array_equal(run.statistics.mean, statistics.mean)
        np.testing.assert_array_equal(run.statistics.deviation, statistics.deviation)
        other = training_run(SMALL, replace(data, statistics=statistics), CONFIG)
        losses.add(run.train_epoch().train_loss)
        assert other.train_epoch().train_loss in losses
    assert len(losses) == 3


def _damage(path: Path, change: str) -> None:
    weights = {name: value.clone() for name, value in _run().best_weights().items()}
    match change:
        case "missing":
            del weights["features.1.weight"]
        case "unexpected":
            weights["head.weight"] = torch.zeros(1)
        case "shape":
            weights["fc.weight"] = torch.zeros(5, 144)
            weights["fc.bias"] = torch.zeros(5)
    torch.save(weights, path)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("missing", "do not fit the network (missing: features.1.weight): name in skip what is to start fresh"),
        ("unexpected", "(unexpected: head.weight)"),
        ("shape", "(of another shape: fc.weight (5x144, not 3x144), fc.bias (5, not 3))"),
    ],
)
def test_weights_that_do_not_fit_are_named_in_one_line(change: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    _damage(path, change)
    with pytest.raises(ValueError, match=re.escape(line)) as raised:
        _run(weights=str(path))
    assert "\n" not in str(raised.value)
    skipped = {"missing": "features.1.", "unexpected": "head.", "shape": "fc."}[change]
    _run(weights=str(path), skip=[skipped])
    architecture = replace(SMALL, start=Start.from_json({"weights": str(path)}), has_given_weights=True)
    with pytest.raises(NetworkFault, match=r"cannot start as told: weights .* do not fit the network"):
        check_network(architecture, 3, {}, {}, last_batch=8, batch_size=8, precision="fp32")


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({"weights": "nowhere.pth"}, r"weights .*/nowhere.pth cannot be read: No such file or directory"),
        ({"skip": ["fc."]}, "skip: there is no file of weights"),
        ({"freeze": ["layer9."]}, "freeze: 'layer9.' names no weight: there are features.1.weight, .* and 6 more"),
        ({"freeze": [""]}, "freeze: no weight of the network is left to train"),
        ({"normalisation": {"mean": [120.0] * 3, "deviation": [60.0] * 3}}, "divide them by 255"),
    ],
    ids=str,
)
def test_a_start_that_makes_no_sense_is_refused_in_one_line(told: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line) as raised:
        _run(**told)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["damaged.pth", "damaged.safetensors", "code.pth", "nested.pth"])
def test_a_file_that_holds_no_weights_is_refused_and_runs_no_code(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    match path.stem:
        case "damaged":
            path.write_bytes(b"no weights")
        case "code":
            torch.save(SmallNet(3), path)
        case "nested":
            torch.save({"epoch": 3, "state_dict": SmallNet(3).state_dict()}, path)
    with pytest.raises(ValueError, match=r"weights .* (cannot be read \(|hold other things than tensors)") as raised:
        _run(weights=str(path))
    assert "\n" not in str(raised.value)


def test_a_part_that_is_not_there_cannot_be_skipped(file: Path) -> None:
    with pytest.raises(ValueError, match=r"skip: 'layer9.' names no weight: there are features.1.weight, "):
        _run(weights=str(file), skip=["layer9."])


def test_a_file_that_changed_since_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trained.pth"
    torch.save(_run(seed=1).best_weights(), path)
    architecture = replace(SMALL, start=Start.from_json({"weights": str(path)}))
    before = fingerprint(architecture, 3)
    torch.save(_run(seed=2).best_weights(), path)
    after = fingerprint(replace(SMALL, start=Start.from_json({"weights": str(path)})), 3)
    assert difference(before, after) == "its initial weights differ"
    with pytest.raises(ValueError, match=r"weights .*trained.pth changed since the study began"):
        training_run(architecture, training_data(coloured(60)), CONFIG)
