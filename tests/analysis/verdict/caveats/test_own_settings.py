"""A verdict names the settings that networks do not share."""

from pathlib import Path
from typing import Any

import pytest

from analysis.results.load import StudyResults, load_results
from analysis.results.study_folder import StudyFolder
from analysis.verdict.caveats.own_settings import own_settings, settings_of, starting_weights
from analysis.verdict.summary import summarise
from analysis.verdict.summary_json import Grade
from tests.analysis.example_study import write_example
from tests.analysis.example_study_json import SPACES

TITLES = {"alexnet": "AlexNet", "resnet18": "ResNet18"}
RATE = {"lr": SPACES["alexnet"]["lr"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    return write_example(tmp_path_factory.mktemp("own") / "study", titles=TITLES, seeds=5, trials=6)


def with_networks(folder: StudyFolder, path: Path, **networks: dict[str, Any]) -> StudyResults:
    """Return the study with these entries of the networks in its settings."""
    changed = StudyFolder(path)
    (path / "final").symlink_to(folder.path / "final")
    for name in ("trials.csv", "history.csv"):
        (path / name).symlink_to(folder.path / name)
    study = folder.read_study()
    changed.write_study(study | {"config": study["config"] | {"networks": networks}})
    return load_results(changed)


@pytest.mark.parametrize(
    ("alexnet", "resnet18", "own", "said"),
    [
        ({}, {}, "", ""),
        ({"title": "AlexNet"}, {"normalisation": "training", "arguments": {}}, "", ""),
        ({}, {"normalisation": "none"}, "normalisation", "normalisation none"),
        ({"weights": "/data/a.pth"}, {"weights": "/data/b.pth"}, "starting weights", "starting weights /data/b.pth"),
        ({"weights": "a.pth"}, {"weights": "a.pth"}, "", "starting weights a.pth"),
        (
            {},
            {"weights": "b.pth", "freeze": ["stem", "body"], "arguments": {"width": 2}},
            "starting weights, frozen parts and arguments",
            "starting weights b.pth, frozen parts stem and body, arguments width 2",
        ),
    ],
)
def test_settings_that_differ_are_named_in_the_headline(
    alexnet: dict[str, Any], resnet18: dict[str, Any], own: str, said: str, folder: StudyFolder, tmp_path: Path
) -> None:
    results = with_networks(folder, tmp_path, alexnet=alexnet, resnet18=resnet18)
    assert own_settings(results.study) == own
    assert settings_of(results.study, "resnet18") == said
    summary = summarise(results)
    tuned, *tuning = summary.comparisons
    assert summary.headline == tuned.headline and summary.verdict and summary.verdict.text.startswith(tuned.headline)
    assert (f", each with its own {own}" in tuned.headline) == ("each with its own" in tuned.headline) == bool(own)
    assert not any("each with its own" in row.text for row in tuning), "a network has the same settings before tuning"


def test_three_networks_with_spaces_of_their_own(tmp_path: Path) -> None:
    titles = {"one": "One", "two": "Two", "three": "Three"}
    spaces = {"one": RATE, "two": SPACES["resnet18"], "three": RATE}
    summary = summarise(load_results(write_example(tmp_path / "s", titles=titles, spaces=spaces, seeds=5, trials=6)))
    assert summary.headline is not None and summary.headline.endswith(", each with its own search space.")


def test_baselines_alone_have_no_search_space(tmp_path: Path) -> None:
    study = write_example(tmp_path / "s", titles=TITLES, spaces=SPACES, seeds=5, search=False)
    assert own_settings(load_results(study).study) == ""


@pytest.mark.parametrize(
    ("told", "weights"),
    [
        ({"weights": "/data/resnet18.pth"}, "resnet18.pth"),
        ({"arguments": {"weights": "DEFAULT"}}, "weights=DEFAULT"),
        ({"arguments": {"pretrained": True}}, "pretrained=True"),
        ({"arguments": {"weights": None, "pretrained": False}}, None),
    ],
)
def test_weights_that_saw_other_images_weaken_the_result(
    told: dict[str, Any], weights: str | None, folder: StudyFolder, tmp_path: Path
) -> None:
    results = with_networks(folder, tmp_path, resnet18=told)
    assert starting_weights(results.study) == ({} if weights is None else {"resnet18": weights})
    limits = [limit for limit in summarise(results).caveats if "weights that other images have trained" in limit.text]
    assert [limit.grade for limit in limits] == [Grade.WEAKENS] * bool(weights)
    assert all(limit.text.startswith(f"ResNet18 ({weights}) starts from weights") for limit in limits)


@pytest.mark.parametrize(
    ("spaces", "trials", "said"),
    [
        ({"alexnet": RATE, "resnet18": RATE}, 10, None),
        ({"alexnet": RATE, "resnet18": RATE}, 9, "9 trials for 1 hyperparameter, fewer than 10 for each."),
        (SPACES, 69, "69 trials for 7 hyperparameters of ResNet18, fewer than 10 for each."),
        (SPACES, 70, None),
    ],
)
def test_a_search_of_fewer_than_10_trials_for_each_hyperparameter_is_short(
    spaces: dict[str, Any], trials: int, said: str | None, tmp_path: Path
) -> None:
    study = write_example(tmp_path / "s", titles=TITLES, spaces=spaces, seeds=5, trials=6)
    contents = study.read_study()
    study.write_study(contents | {"config": contents["config"] | {"trials": trials}})
    limits = [limit for limit in summarise(load_results(study)).caveats if "The search was short" in limit.text]
    assert [limit.grade for limit in limits] == [Grade.WEAKENS] * bool(said)
    assert all(str(said) in limit.text for limit in limits)
