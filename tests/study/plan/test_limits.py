"""The limits on parameters and inference time: what is measured, what is tried, and what a resumed study keeps."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from models.networks.hyperparameters import Value
from study.errors import BadInput
from study.plan.limits import Sizes, allowances, check_baselines, median_ms
from study.run import main
from study.search.ledger import Ledger
from study.search.sampler import SUBSTITUTES, Sampler
from study.search.search import Search
from study.settings.config import StudyConfig
from study.settings.networks import baseline_of, space_of
from tests.study.search.played import EARLY, flat, play

MODULE = """
import torch
from torch import nn

def wide(num_classes, width=16, dropout=0.0):
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, width), nn.ReLU(), nn.Linear(width, num_classes))

def reading(num_classes, width=16):
    assert torch.linspace(0, width, 2)[1].item() == width
    return wide(num_classes, width)

def picky(num_classes, width=16):
    if width > 100:
        raise RuntimeError("too wide")
    return wide(num_classes, width)
"""
WIDTH = {"type": "int", "low": 1, "high": 512, "log": True}


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "mynets.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("mynets", None)


def _config(factory: str = "wide", **changed: object) -> StudyConfig:
    networks = {"net": {"factory": f"mynets:{factory}", "space": {"model.width": WIDTH}}}
    config = StudyConfig(archs=("net",), trials=12, networks=networks)
    return replace(config, **changed)  # type: ignore[arg-type]


def _parameters(width: int) -> int:
    return 49 * width + (width + 1) * 10


@pytest.mark.parametrize("factory", ["wide", "reading"])
def test_parameters_are_counted_with_and_without_the_meta_device(factory: str) -> None:
    config = _config(factory, max_parameters=_parameters(40))
    state = torch.get_rng_state()
    sizes = Sizes(config, "net", 10)
    assert [sizes.allow({"lr": 1e-3, "model.width": width}) for width in (1, 40, 41)] == [True, True, False]
    assert sizes.excess({"model.width": 41}) == "2,429 parameters, above --max-parameters 2,370"
    assert torch.equal(torch.get_rng_state(), state)


def test_a_network_is_timed_once_for_all_configurations_that_build_it() -> None:
    timed: list[int] = []

    def measure(model: nn.Module) -> float:
        timed.append(model[2].out_features)  # type: ignore[index]
        return timed[-1] / 10 + len(timed) / 100

    sizes = Sizes(_config(max_latency_ms=5.0), "net", 10, measure)
    values: list[dict[str, Value]] = [
        {"lr": lr, "dropout": lr, "model.width": width} for lr in (1e-3, 1e-2) for width in (40, 60)
    ]
    assert [sizes.allow(one) for one in values] == [True, False, True, False]
    assert timed == [40, 60]
    assert sizes.excess(values[1]) == (
        "an inference time of 6.02 ms for one image on this machine, above --max-latency-ms 5"
    )


def test_a_network_that_cannot_be_built_is_left_to_its_trial(caplog: pytest.LogCaptureFixture) -> None:
    sizes = Sizes(_config("picky", max_parameters=1), "net", 10)
    assert sizes.allow({"model.width": 101}) and not sizes.allow({"model.width": 100})
    assert caplog.messages == ["net with model.width=101 cannot be measured: too wide"]


def test_a_slower_network_takes_longer() -> None:
    slow, fast = (nn.Sequential(nn.Conv2d(3, width, 3), nn.Conv2d(width, width, 3)) for width in (256, 2))
    threads = torch.get_num_threads()
    assert median_ms(slow, torch.device("cpu"), 1) > 5 * median_ms(fast, torch.device("cpu"), 1) > 0
    assert torch.get_num_threads() == threads


def test_only_a_network_that_changes_its_size_is_asked_about() -> None:
    assert allowances(_config(), 10) == {}
    config = _config(archs=("alexnet", "net"), max_parameters=10_000_000)
    assert list(allowances(config, 10)) == ["net"]


def test_a_baseline_above_a_limit_is_refused_with_its_number() -> None:
    check_baselines(_config(max_parameters=_parameters(16)), 10)
    with pytest.raises(BadInput, match=r"^the baseline of 'net' has 954 parameters, above --max-parameters 953: raise"):
        check_baselines(_config(max_parameters=_parameters(16) - 1), 10)
    with pytest.raises(BadInput, match=r"has an inference time of .* ms .*, above --max-latency-ms 1e-06: raise"):
        check_baselines(_config(max_latency_ms=1e-6), 10)


def test_a_study_whose_baseline_is_too_large_ends_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--preset", "quick", "--archs", "mobilenet", "--max-parameters", "13897", "--name", "x"]
    assert main([*words, "--results-dir", str(tmp_path / "results")]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert line.startswith("error: the baseline of 'mobilenet' has 13,898 parameters, above --max-parameters 13,897")
    assert not (tmp_path / "results").exists()


def _search(path: Path, config: StudyConfig, allows: Mapping[str, object], startup_trials: int) -> Search:
    return Search(
        config,
        {"net": baseline_of(config, "net")},
        Ledger(path / "journal.jsonl"),
        EARLY,
        startup_trials,
        spaces={"net": space_of(config, "net")},
        allows=allows,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("startup_trials", [pytest.param(1, marks=pytest.mark.slow), 100])
def test_nothing_above_the_limit_is_tried(startup_trials: int, tmp_path: Path) -> None:
    """Neither by the sequence of the start, whose points do not repeat, nor by the model."""
    config = _config(max_parameters=_parameters(40))
    search = _search(tmp_path, config, allowances(config, 10), startup_trials)
    play(search, flat(0.5), concurrency=3)
    trials = [tuple(trial.values.values()) for trial in search.ledger.trials()]
    assert len(set(trials)) == config.trials
    widths = [int(trial.values["model.width"]) for trial in search.ledger.trials()]
    assert max(widths) <= 40 and len(set(widths)) > 4
    free = _search(tmp_path / "free", config, {}, startup_trials)
    play(free, flat(0.5), concurrency=3)
    assert max(int(trial.values["model.width"]) for trial in free.ledger.trials()) > 40


def test_a_resumed_search_asks_about_no_trial_again(tmp_path: Path) -> None:
    """The machine that resumes is slower: it refuses every width that the first session tried, and those alone."""
    config = _config()
    begun = _search(tmp_path, config, {"net": lambda values: values["model.width"] <= 40}, 1)
    for _ in range(4):
        trial = begun.next_trial()
        assert trial is not None
    tried = {int(trial.values["model.width"]) for trial in begun.ledger.trials()}
    asked: list[int] = []

    def allows(values: Mapping[str, Value]) -> bool:
        asked.append(int(values["model.width"]))
        return asked[-1] not in tried

    resumed = _search(tmp_path, config, {"net": allows}, 1)
    again = [resumed.next_trial() for _ in range(4)]
    assert [trial.values for trial in again if trial] == [trial.values for trial in begun.ledger.trials()]
    assert asked == []
    trial = resumed.next_trial()
    assert trial is not None and int(trial.values["model.width"]) not in tried and asked


@pytest.mark.parametrize("startup_trials", [1, 100])
def test_a_space_without_a_configuration_below_the_limit_ends_in_one_line(startup_trials: int, tmp_path: Path) -> None:
    asked = []

    def refuse(values: Mapping[str, Value]) -> bool:
        asked.append(values)
        return False

    search = _search(tmp_path, _config(), {"net": refuse}, startup_trials)
    with pytest.raises(BadInput, match=f"'net' has too few configurations within the limits: none of {SUBSTITUTES} pr"):
        play(search, flat(0.5))
    assert SUBSTITUTES <= len(asked) <= SUBSTITUTES + 1


def test_without_limits_the_proposals_are_what_they_were() -> None:
    space = space_of(_config(), "net")
    free, allowed = (Sampler("net", space, 0, allows=allows) for allows in (None, lambda values: True))
    assert [free.suggest(number) for number in (1, 2)] == [allowed.suggest(number) for number in (1, 2)]
