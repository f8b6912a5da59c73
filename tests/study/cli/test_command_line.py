"""The command line: presets, flags over them, and one line for what cannot be read."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from study.cli.command_line import GROUPS, flag, parse
from study.cli.commands import COMMANDS, main
from study.errors import BadInput
from study.settings.config import FILE_ONLY, PRESETS, StudyConfig


@pytest.mark.parametrize(
    ("arguments", "preset"), [([], "full"), (["--preset", "full"], "full"), (["--preset", "quick"], "quick")]
)
def test_presets(arguments: list[str], preset: str) -> None:
    assert parse(arguments).config() == PRESETS[preset]


SETTINGS = {field.name for field in fields(StudyConfig)} - {*FILE_ONLY}
FLAGS: list[tuple[list[str], str, Any]] = [
    (["--dataset", "folder"], "dataset", "folder"),
    (["--data-dir", "a b/c"], "data_dir", Path("a b/c")),
    (["--title", "My pets"], "title", "My pets"),
    (["--test-share", "0.3"], "test_share", 0.3),
    (["--test-seed", "4"], "test_seed", 4),
    (["--group-by", r"^\w+/(p\d+)-"], "group_by", r"^\w+/(p\d+)-"),
    (["--duplicates", "refuse"], "duplicates", "refuse"),
    (["--bit-depth", "12"], "bit_depth", 12),
    (["--image-size", "64"], "image_size", 64),
    (["--dataset", "torchvision:SVHN"], "dataset", "torchvision:SVHN"),
    (["--dataset", "package.module:function"], "dataset", "package.module:function"),
    (["--trials", "3"], "trials", 3),
    (["--max-epochs=2"], "max_epochs", 2),
    (["--patience", "4"], "patience", 4),
    (["--grace-steps", "0"], "grace_steps", 0),
    (["--batch-size", "64"], "batch_size", 64),
    (["--first-lrs", "1e-2", "2e-4"], "first_lrs", (0.01, 0.0002)),
    (["--first-lrs"], "first_lrs", ()),
    (["--seeds", "4"], "seeds", 4),
    (["--seeds", "auto"], "seeds", "auto"),
    (["--confirm", "0"], "confirm", 0),
    (["--margin", "1"], "margin", 1.0),
    (["--margin-of-errors", "20"], "margin_of_errors", 20.0),
    (["--max-parameters", "20000"], "max_parameters", 20_000),
    (["--max-latency-ms", "2.5"], "max_latency_ms", 2.5),
    (["--budget-hours", "2"], "budget_hours", 2.0),
    (["--train-size", "500"], "train_size", 500),
    (["--train-seed", "3"], "train_seed", 3),
    (["--archs", "mobilenet"], "archs", ("mobilenet",)),
    (["--archs", "mobilenet", "alexnet"], "archs", ("mobilenet", "alexnet")),
    (["--seed", "7"], "seed", 7),
    (["--precision", "bf16"], "precision", "bf16"),
    (["--kernels", "off"], "kernels", "off"),
    (["--cpus-per-trial", "0.5"], "cpus_per_trial", 0.5),
    (["--gpus-per-trial", "0.25"], "gpus_per_trial", 0.25),
    (["--concurrency", "3"], "concurrency", 3),
    (["--address", "auto"], "address", "auto"),
    (["--wait", "30"], "wait", 30.0),
    (["--storage", "s3://bucket/a?region=x"], "storage", "s3://bucket/a?region=x"),
    (["--baseline"], "baseline", True),
    (["--track", "tensorboard", "mlflow"], "track", ("tensorboard", "mlflow")),
    (["--track", "tensorboard", "--track", "wandb"], "track", ("tensorboard", "wandb")),
    (["--track"], "track", ()),
]


@pytest.mark.parametrize(("arguments", "field", "value"), FLAGS)
@pytest.mark.parametrize("order", [1, -1], ids=["preset first", "preset last"])
def test_any_flag_overrides_its_preset(arguments: list[str], field: str, value: Any, order: int) -> None:
    parts = [["--preset", "quick"], arguments][::order]
    assert parse([*parts[0], *parts[1]]).config() == replace(PRESETS["quick"], **{field: value})


def test_every_setting_has_a_flag() -> None:
    assert {field for _, field, _ in FLAGS} | {"preset"} == SETTINGS


@pytest.mark.parametrize(
    "field",
    ["data_dir", "bit_depth", "train_size", "train_seed", "concurrency", "gpus_per_trial", "address", "storage"],
)
def test_a_setting_can_be_taken_back(field: str) -> None:
    base = StudyConfig(
        data_dir=Path("d"),
        bit_depth=12,
        train_size=9,
        concurrency=2,
        gpus_per_trial=0.5,
        address="a",
        storage="s",
    )
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
    ("arguments", "line"),
    [
        (["--trials", "many"], "--trials must be a whole number, not 'many'"),
        (["--seeds", "some"], "--seeds must be a whole number or auto, not 'some'"),
        (["--trials", "1.5"], "--trials must be a whole number, not '1.5'"),
        (["--trials", ""], "--trials must be a whole number, not ''"),
        (["--trials"], "--trials needs a value"),
        (["--trials", "--resume"], "--trials needs a value"),
        (["--train-size", "all"], "--train-size must be a whole number, not 'all'"),
        (["--concurrency", "two"], "--concurrency must be a whole number, not 'two'"),
        (["--cpus-per-trial", "half"], "--cpus-per-trial must be a number, not 'half'"),
        (["--preset", "medium"], "there is no preset 'medium': choose from full, quick"),
        (["--preset", "qick"], "there is no preset 'qick': did you mean quick?"),
        (["--dataset", "cifar"], "there is no data set 'cifar': did you mean cifar10?"),
        (["--dataset", "Digits"], "there is no data set 'Digits': did you mean digits?"),
        (["--precision", "fp8"], "there is no precision 'fp8': choose from auto, fp32, bf16"),
        (["--kernels", "on"], "there is no choice of kernels 'on': choose from auto, off"),
        (["--trails", "3"], "there is no flag '--trails': did you mean --trials?"),
        (["--trial=3"], "there is no flag '--trial': did you mean --trials?"),
        (["--colour", "red"], "there is no flag '--colour': see --help"),
        (["train"], "'train' belongs to no flag: leave it out, or see --help"),
        (["--baseline", "yes"], "'yes' belongs to no flag: leave it out, or see --help"),
        (["--baseline=yes"], "--baseline takes no value"),
        (["--name"], "--name needs a value"),
        (["--archs"], "--archs needs at least one network"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_names_it(arguments: list[str], line: str, capfd: Any) -> None:
    with pytest.raises(BadInput) as error:
        parse(arguments)
    assert str(error.value).replace("full, laptop, quick", "full, quick") == line
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("columns", ["80", "200"])
def test_help_names_every_flag_in_its_group_within_80_columns(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit) as exit_:
        parse(["--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    names = SETTINGS | {"results_dir", "name", "resume", "add_arch", "study_file", "print_config"}
    assert all(f"  {flag(name)} " in text or f"  {flag(name)}\n" in text for name in names)
    assert {name for names in GROUPS.values() for name in names} >= SETTINGS
    titles = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == ["options:", *(f"{title}:" for title in GROUPS), "examples:"]
    assert "--dataset {cifar10,digits,folder}" in text


def test_every_example_of_the_help_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    examples = capsys.readouterr().out.partition("examples:\n")[2].splitlines()
    assert len(examples) >= 5
    for example in examples:
        parse(example.partition("study.run")[2].partition("   ")[0].split())


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"completion"}))
def test_help_names_the_command_that_the_user_typed(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = COMMANDS[name][0].removesuffix(".__main__")
    monkeypatch.setenv("COLUMNS", "200")
    for program, command, other in (
        ("/venv/bin/fairverdict", f"fairverdict {name}", module),
        (f"{module.replace('.', '/')}/__main__.py", f"python -m {module}", "fairverdict "),
    ):
        monkeypatch.setattr("sys.argv", [program])
        with pytest.raises(SystemExit):
            main([name, "--help"])
        text = capsys.readouterr().out
        assert text.startswith(f"usage: {command} [")
        assert text.count(command) > ("examples:" in text) and other not in text


def test_a_tilde_is_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    options = parse(["--results-dir=~/studies", "--data-dir", "~/images", "--name", "~"])
    assert (options.results_dir, options.data_dir) == (tmp_path / "studies", tmp_path / "images")
    assert options.name == "~"
    assert parse(["--results-dir", "./~"]).results_dir == Path.cwd() / "~"
