"""The check of a network refuses it, notes something about it, or takes dropout out of its search space."""

from pathlib import Path
from typing import Any

import pytest

from study.errors import BadInput
from study.settings.config import StudyConfig
from study.settings.network_checks import check_by_building
from study.settings.networks import architecture_of, baseline_of, space_of

MODULE = """
from torch import nn

def linear(num_classes, **layers):
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, num_classes))

def with_dropout(num_classes, dropout=0.2):
    return nn.Sequential(nn.Dropout(dropout), *linear(num_classes))

def ignoring(num_classes, dropout=0.2):
    return linear(num_classes)

def demanding(num_classes, dropout):
    return linear(num_classes)

def normalised(num_classes):
    return nn.Sequential(nn.AvgPool2d(32), nn.Flatten(), nn.BatchNorm1d(3), nn.Linear(3, num_classes))

def softmax(num_classes):
    return nn.Sequential(*linear(num_classes), nn.Softmax(1))
"""


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mynets.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)


def _config(factory: str, **told: Any) -> StudyConfig:
    networks = {"net": {"factory": f"mynets:{factory}", **told}}
    return StudyConfig(archs=("net",), precision="fp32", batch_size=16, networks=networks)


def test_a_network_without_a_fault_stays_as_it_is() -> None:
    for factory, names in (("linear", ["lr"]), ("with_dropout", ["lr", "dropout"])):
        config = _config(factory)
        assert check_by_building(config, 100, 3) == (config, {"net": []})
        assert list(space_of(config, "net").ranges) == names


def test_a_dropout_that_is_an_argument_is_not_searched() -> None:
    config = _config("with_dropout", arguments={"dropout": 0.5})
    assert check_by_building(config, 100, 3) == (config, {"net": []})
    assert list(space_of(config, "net").ranges) == ["lr"]


@pytest.mark.parametrize("factory", ["ignoring", "demanding"])
def test_a_dropout_that_changes_nothing_leaves_the_space(factory: str) -> None:
    begun = _config(factory, baseline={"dropout": 0.1})
    config, notes = check_by_building(begun, 100, 3)
    assert notes == {"net": ["ignores its dropout, so dropout is not searched"]}
    assert list(space_of(config, "net").ranges) == ["lr"]
    assert list(baseline_of(config, "net").values) == ["lr"]
    assert architecture_of(config, "net").build(3, {"lr": 1e-3}) is not None
    assert StudyConfig.from_json(config.to_json()) == config
    assert check_by_building(config, 100, 3) == (config, {"net": []})


def test_another_hyperparameter_that_changes_nothing_is_refused() -> None:
    config = _config("linear", space={"model.width": {"low": 2, "high": 8}}, baseline={"model.width": 4})
    with pytest.raises(BadInput, match=r"the network 'net' ignores model\.width: its logits and gradients are"):
        check_by_building(config, 100, 3)


def test_the_fault_of_a_network_names_it() -> None:
    with pytest.raises(BadInput, match=r"^the network 'net' returns probabilities: leave the softmax out"):
        check_by_building(_config("softmax"), 100, 3)


@pytest.mark.parametrize(("n_train", "notes"), [(90, 1), (91, 0)])
def test_the_smallest_batch_is_worked_out_from_the_data(n_train: int, notes: int) -> None:
    """90 images leave 81 for training: 5 batches of 16, and one image."""
    assert [len(lines) for lines in check_by_building(_config("normalised"), n_train, 3)[1].values()] == [notes]
