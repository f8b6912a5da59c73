"""Networks by import path, and what a study says about a network: title, arguments, baseline and search space."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from study.cli.command_line import parse
from study.errors import BadInput
from study.settings.config import StudyConfig
from study.settings.networks import architecture_of, baseline_of, check_networks, space_of
from study.settings.search_space import SEARCH_SPACE
from study.storage.provenance import describe_networks

MODULE = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, num_classes, width=6, depth=1, activation="ReLU"):
        hidden = [getattr(nn, activation)() for _ in range(depth)]
        super().__init__(nn.Flatten(), nn.Linear(3072, width), *hidden, nn.Linear(width, num_classes))

def with_dropout(num_classes, dropout=0.2):
    return nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(3072, num_classes))

def without_default(num_classes, width):
    return Net(num_classes, width)

NUMBER = 3
"""
WIDTH = {"type": "int", "low": 2, "high": 8}
FIXED_LR = {"choices": [1e-3]}


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mynets.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def _config(factory: str = "mynets:Net", space: Mapping[str, Any] | None = None, **told: Any) -> StudyConfig:
    return StudyConfig(archs=("net",), space=space or {}, networks={"net": {"factory": factory, **told}})


def test_an_import_path_on_the_command_line_is_a_network_by_the_name_of_its_factory() -> None:
    config = parse(["--archs", "mobilenet", "mynets:Net"]).config()
    assert config.archs == ("mobilenet", "net")
    assert config.networks == {"net": {"factory": "mynets:Net"}}
    check_networks(config)
    network = architecture_of(config, "net")
    assert (network.name, network.title) == ("net", "net")
    assert network.build(7, baseline_of(config, "net").values)(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mynets:Net", "other:Net"], "--archs names a network twice: net"),
        (["mynets:"], "'mynets:' is no import path: write package.module:function"),
        ([":Net"], "':Net' is no import path: write package.module:function"),
        (["mynets:Net:Net"], "'mynets:Net:Net' is no import path"),
        (["mynets.Net"], "there is no network 'mynets.Net': .*, or name a factory, package.module:function"),
        (["mynets.py:Net"], r"mynets.py cannot be imported \(.*\): leave .py out, mynets:Net"),
        (["nowhere:Net"], r"'net': nowhere cannot be imported \(ModuleNotFoundError: No module named 'nowhere'\)"),
        (["mynets:Nett"], "'nett': mynets has no function or class 'Nett'"),
        (["mynets:NUMBER"], "'number': mynets has no function or class 'NUMBER'"),
    ],
)
def test_a_network_that_cannot_be_found_is_named(words: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_networks(parse(["--archs", *words]).config())


def test_the_default_space_has_dropout_if_the_factory_takes_it() -> None:
    assert list(space_of(_config(), "net").ranges) == ["lr"]
    assert baseline_of(_config(), "net").values == {"lr": 1e-3}
    config = _config("mynets:with_dropout")
    assert space_of(config, "net") == SEARCH_SPACE
    assert baseline_of(config, "net").values == {"lr": 1e-3, "dropout": 0.2}


def test_a_space_of_its_own_takes_its_baseline_from_the_factory() -> None:
    activation = {"choices": ["ReLU", "GELU"]}
    config = _config(space={"lr": {"low": 1e-3, "high": 1e-2, "log": True}, "model.width": WIDTH})
    config.networks["net"]["space"] = {"model.activation": activation}  # type: ignore[index]
    check_networks(config)
    assert list(space_of(config, "net").ranges) == ["lr", "model.width", "model.activation"]
    values = baseline_of(config, "net").values
    assert values == {"lr": 1e-3, "model.width": 6, "model.activation": "ReLU"}
    model = architecture_of(config, "net").build(3, {**values, "model.width": 4, "model.activation": "GELU"})
    assert model[1].out_features == 4 and isinstance(model[2], torch.nn.GELU)


def test_arguments_title_and_baseline_are_what_the_study_says() -> None:
    config = _config(title="My net", arguments={"depth": 2, "width": 5}, baseline={"lr": 3e-3})
    network = architecture_of(config, "net")
    assert (network.title, baseline_of(config, "net").lr) == ("My net", 3e-3)
    assert sum(isinstance(layer, torch.nn.ReLU) for layer in network.build(3, {})) == 2
    registered = StudyConfig(networks={"alexnet": {"title": "Old", "baseline": {"dropout": 0.1}}})
    assert architecture_of(registered, "alexnet").title == "Old"
    assert baseline_of(registered, "alexnet").values == {"lr": 1e-3, "dropout": 0.1}


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"space": {"lr": {"low": 1e-2, "high": 1e-1}}}, "baseline: lr is 0.001, outside the range"),
        ({"baseline": {"weight_decay": 1e-4}}, "the baseline of 'net' has weight_decay, which is not searched"),
        (
            {"factory": "mynets:without_default", "space": {"lr": FIXED_LR, "model.width": WIDTH}},
            r"the baseline of 'net' has no model.width: add it to \[networks.net.baseline\]",
        ),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(told: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_networks(_config(**told))


def test_a_space_without_a_learning_rate_is_refused() -> None:
    with pytest.raises(BadInput, match="the search space of 'net' has no lr: add it; one choice alone keeps it fixed"):
        check_networks(_config(space={"model.width": WIDTH}))


def test_study_json_counts_the_network_with_its_baseline() -> None:
    space = {"lr": FIXED_LR, "model.width": WIDTH}
    config = _config("mynets:without_default", space=space, baseline={"model.width": 4})
    described = describe_networks(config, 3)["net"]
    assert described["parameters"] == 3072 * 4 + 4 + 4 * 3 + 3
    assert described["baseline"]["model.width"] == 4
