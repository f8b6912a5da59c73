"""The command line: presets, flags over them, and one line for what cannot be read."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from study.cli.command_line import parse
from study.errors import BadInput
from study.settings.config import PRESETS, StudyConfig


@pytest.mark.parametrize(
    ("arguments", "preset"), [([], "full"), (["--preset", "full"], "full"), (["--preset", "quick"], "quick")]
)
def test_presets(arguments: list[str], preset: str) -> None:
    assert parse(arguments).config() == PRESETS[preset]


FLAGS: list[tuple[list[str], str, Any]] = [
    (["--dataset", "folder"], "dataset", "folder"),
    (["--data-dir", "a b/c"], "data_dir", Path("a b/c")),
    (["--trials", "3"], "trials", 3),
    (["--max-epochs=2"], "max_epochs", 2),
    (["--seeds", "4"], "seeds", 4),
    (["--confirm", "0"], "confirm", 0),
    (["--train-size", "500"], "train_size", 500),
    (["--archs", "mobilenet"], "archs", ("mobilenet",)),
    (["--archs", "mobilenet", "alexnet"], "archs", ("mobilenet", "alexnet")),
    (["--seed", "7"], "seed", 7),
    (["--precision", "bf16"], "precision", "bf16"),
    (["--kernels", "off"], "kernels", "off"),
    (["--cpus-per-trial", "0.5"], "cpus_per_trial", 0.5),
    (["--gpus-per-trial", "0.25"], "gpus_per_trial", 0.25),
    (["--concurrency", "3"], "concurrency", 3),
    (["--address", "auto"], "address", "auto"),
    (["--storage", "s3://bucket/a?region=x"], "storage", "s3://bucket/a?region=x"),
    (["--baseline"], "baseline", True),
]


@pytest.mark.parametrize(("arguments", "field", "value"), FLAGS)
@pytest.mark.parametrize("order", [1, -1], ids=["preset first", "preset last"])
def test_any_flag_overrides_its_preset(arguments: list[str], field: str, value: Any, order: int) -> None:
    parts = [["--preset", "quick"], arguments][::order]
    assert parse([*parts[0], *parts[1]]).config() == replace(PRESETS["quick"], **{field: value})


def test_every_setting_has_a_flag() -> None:
    assert {field for _, field, _ in FLAGS} | {"preset"} == {field.name for field in fields(StudyConfig)}


@pytest.mark.parametrize("field", ["data_dir", "train_size", "concurrency", "gpus_per_trial", "address", "storage"])
def test_a_setting_can_be_taken_back(field: str) -> None:
    base = StudyConfig(data_dir=Path("d"), train_size=9, concurrency=2, gpus_per_trial=0.5, address="a", storage="s")
    assert parse([f"--{field.replace('_', '-')}", "none"], base).config() == replace(base, **{field: None})
    assert parse(["--name", "none"]).name == "none"


def test_flags_that_say_where_and_whether_to_go_on() -> None:
    options = parse([])
    assert (options.results_dir, options.name, options.resume) == (Path("results"), None, False)
    options = parse(["--results-dir", "/x", "--name", "a", "--resume"])
    assert (options.results_dir, options.name, options.resume) == (Path("/x"), "a", True)


def test_a_resumed_study_keeps_its_settings() -> None:
    base = replace(PRESETS["quick"], trials=9, data_dir=Path("/d"), archs=("mobilenet",), storage="/s", baseline=True)
    assert parse(["--resume"], base=base).config() == base
    assert parse(["--resume", "--seeds", "8"], base=base).config() == replace(base, seeds=8)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--trials", "many"], ["--trials", "many"]),
        (["--trials", "1.5"], ["--trials", "1.5"]),
        (["--trials", "1e3"], ["--trials", "1e3"]),
        (["--trials", ""], ["--trials"]),
        (["--trials"], ["--trials"]),
        (["--train-size", "all"], ["--train-size", "all"]),
        (["--concurrency", "two"], ["--concurrency", "two"]),
        (["--cpus-per-trial", "half"], ["--cpus-per-trial", "half"]),
        (["--gpus-per-trial", "1,5"], ["--gpus-per-trial", "1,5"]),
        (["--preset", "medium"], ["--preset", "medium", "full", "quick"]),
        (["--trial", "3"], ["--trial"]),
        (["--colour"], ["--colour"]),
        (["--colour", "red"], ["--colour"]),
        (["train"], ["train"]),
        (["--baseline", "yes"], ["yes"]),
        (["--name"], ["--name"]),
    ],
)
def test_what_cannot_be_read_is_one_line_that_names_it(arguments: list[str], words: list[str], capfd: Any) -> None:
    with pytest.raises(BadInput) as error:
        parse(arguments)
    message = str(error.value)
    assert all(word in message for word in words)
    assert "\n" not in message
    assert not set(message) & set("│╭╰─\x1b")
    assert capfd.readouterr() == ("", "")


def test_help_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(["--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    names = {field.name for field in fields(StudyConfig)} | {"results_dir", "name", "resume"}
    assert all("--" + name.replace("_", "-") in text for name in names)
