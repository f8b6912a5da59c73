"""Study files: what each table sets, the whole configuration written as one, and the line for each fault."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import save_file

from models.networks.mobilenet import MobileNetLike
from models.training.recipe import TrainingConfig
from study.cli.command_line import parse
from study.cli.request import read_request
from study.errors import BadInput
from study.run import main
from study.settings.config import PRESETS, StudyConfig
from study.settings.fields import helps
from study.settings.file.read import TABLES
from study.settings.file.tables import NetworkTable, RangeTable
from study.settings.file.whole import whole_file, whole_tables
from study.settings.networks import baseline_of, space_of
from tests.pace import within

MODULE = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, num_classes, width=6, activation="ReLU", batch_norm=False):
        norm = [nn.BatchNorm1d(width)] if batch_norm else []
        layers = nn.Linear(3072, width), *norm, getattr(nn, activation)(), nn.Linear(width, num_classes)
        super().__init__(nn.Flatten(), *layers)

def with_dropout(num_classes, dropout=0.2):
    return nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(3072, num_classes))
"""
FILE = """
[study]
dataset = "digits"
preset = "quick"
trials = 5
seeds = 6

[recipe]
optimizer = "sgd"
momentum = 0.8
batch_size = 32
patience = 4

[space]
lr = { type = "float", low = 1e-4, high = 1e-1, log = true }
weight_decay = { type = "float", low = 0, high = 0.1, step = 0.02 }

[networks.net]
factory = "filenets:Net"
title = "My net"
baseline = { lr = 0.01 }

[networks.net.space]
model.width = { type = "int", low = 2, high = 8, step = 2 }
"model.activation" = { type = "categorical", choices = ["ReLU", "GELU"] }
model.batch_norm = { type = "categorical", choices = [true, false] }

[networks.other]
factory = "filenets:with_dropout"
space = { "model.dropout" = { type = "float", low = 0, high = 0.5 } }
"""


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "filenets.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "study.toml"


def _read(path: Path, content: str, *flags: str) -> StudyConfig:
    path.write_text(content)
    return parse(["--config", path.name, *flags]).config()


def test_a_file_of_weights_is_looked_for_where_the_study_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {name: value.contiguous() for name, value in MobileNetLike(10).state_dict().items()}
    save_file(weights, tmp_path / "w.safetensors")
    (tmp_path / "s.toml").write_text('[networks.mobilenet]\nweights = "w.safetensors"\n')
    monkeypatch.chdir(tmp_path)
    config = read_request(["--config", "s.toml", "--dataset", "digits"]).config
    assert config.networks["mobilenet"]["weights"] == str(tmp_path / "w.safetensors")


def test_a_file_without_tables_is_the_documented_study(path: Path) -> None:
    assert _read(path, "") == PRESETS["full"]
    assert _read(path, "[study]\n[recipe]\n[space]\n[networks]\n", "--preset", "quick") == PRESETS["quick"]


def test_each_table_sets_its_part(path: Path) -> None:
    config = _read(path, FILE)
    assert (config.preset, config.trials, config.seeds, config.confirm) == ("quick", 5, 6, 0)
    assert (config.batch_size, config.patience) == (32, 4)
    assert config.recipe == {"optimizer": "sgd", "momentum": 0.8}
    assert config.archs == ("net", "other")
    shared = {
        "lr": {"low": 1e-4, "high": 1e-1, "log": True},
        "weight_decay": {"type": "float", "low": 0.0, "high": 0.1, "log": False, "step": 0.02},
    }
    assert space_of(config, "net").to_json() == shared | {
        "model.width": {"type": "int", "low": 2, "high": 8, "log": False, "step": 2},
        "model.activation": {"choices": ["ReLU", "GELU"]},
        "model.batch_norm": {"choices": [True, False]},
    }
    assert space_of(config, "other").to_json() == shared | {"dropout": {"low": 0.0, "high": 0.5, "log": False}}
    assert baseline_of(config, "net") == TrainingConfig(
        {"lr": 0.01, "weight_decay": 0.0, "model.width": 6, "model.activation": "ReLU", "model.batch_norm": False},
        max_epochs=32,
        patience=4,
        batch_size=32,
        grace_steps=60,
        optimizer="sgd",
        momentum=0.8,
    )
    assert baseline_of(config, "other").values == {"lr": 5e-4, "weight_decay": 0.0, "dropout": 0.2}


def test_a_flag_wins_over_the_file_and_the_file_over_a_preset(path: Path) -> None:
    assert _read(path, FILE, "--trials", "7", "--preset", "laptop").trials == 7
    assert _read(path, FILE, "--preset", "laptop").trials == 5
    assert _read(path, FILE, "--preset", "laptop").train_size == 5000
    assert _read(path, "[study]\ntrain_size = 90\n", "--train-size", "none").train_size is None
    assert _read(path, FILE, "--archs", "alexnet", "filenets:Net").archs == ("alexnet", "net")
    assert list(_read(path, FILE, "--archs", "alexnet", "filenets:Net").networks) == ["net"]


def test_a_constant_of_the_documented_recipe_is_no_change(path: Path) -> None:
    content = '[recipe]\noptimizer = "adam"\nweight_decay = 0\naugment = "none"\nbatch_size = 128\n'
    assert _read(path, content) == StudyConfig()


def test_the_study_json_of_another_study_is_a_study_file(path: Path) -> None:
    config = replace(_read(path, FILE), data_dir=Path("/images"), first_lrs=(1e-3, 2e-3))
    file = path.with_name("study.json")
    file.write_text(json.dumps({"config": config.to_json(), "name": "old"}))
    assert parse(["--config", "study.json"]).config() == config
    assert parse(["--config", "study.json", "--seeds", "9"]).config() == replace(config, seeds=9)


LEFT_OUT = FILE.replace("[space]", '[space]\ndropout = { type = "float", low = 0, high = 0.5 }').replace(
    "[networks.net.space]", "[networks.net.space]\ndropout = false"
)


@pytest.mark.parametrize(
    "content", ["", FILE, LEFT_OUT, '[networks.net]\nfactory = "filenets:Net"\narguments = { width = 3 }\n']
)
def test_the_whole_configuration_is_the_same_study(path: Path, content: str) -> None:
    config = _read(path, content)
    again = _read(path, whole_file(config))
    assert whole_tables(again) == whole_tables(config)
    assert (again.archs, again.recipe, again.trials) == (config.archs, config.recipe, config.trials)
    for arch in config.archs:
        assert baseline_of(again, arch) == baseline_of(config, arch)
        assert list(space_of(again, arch).ranges.items()) == list(space_of(config, arch).ranges.items())


def test_the_whole_configuration_has_every_key_with_its_help(path: Path) -> None:
    text = whole_file(_read(path, FILE))
    tables = tomllib.loads(text)
    assert list(tables) == [*TABLES]
    above = dict(zip(text.splitlines()[1:], text.splitlines(), strict=False))
    for table, owner in (("study", StudyConfig), ("recipe", TrainingConfig)):
        for key in tables[table]:
            line = next(line for line in above if line.startswith(f"{key} = "))
            assert above[line].startswith("# ") and above[line].removeprefix("# ") in (
                helps(owner)[key],
                helps(StudyConfig).get(key),
            )
    for owner in (NetworkTable, RangeTable):
        assert set(helps(owner)) == set(owner.__dataclass_fields__)
        assert all(help_ in text for help_ in helps(owner).values())


def test_a_value_is_quoted_as_toml_has_it(path: Path) -> None:
    title = 'a "b"\\ \t\n\x01\x7f ü 模'
    config = replace(StudyConfig(), title=title, group_by=r"^(\w+)-", first_lrs=(1e-05, 1e-3))
    assert _read(path, whole_file(config)) == _read(path, whole_file(_read(path, whole_file(config))))
    again = _read(path, whole_file(config))
    assert (again.title, again.group_by, again.first_lrs) == (title, r"^(\w+)-", (1e-05, 1e-3))


def test_print_config_prints_the_whole_configuration_and_does_nothing_else(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = _read(path, FILE)
    assert main(["--config", path.name, "--print-config"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (whole_file(config), "")
    assert not Path("results").exists()


NET = '[networks.net]\nfactory = "filenets:Net"\n'
FAULTS = [
    ("trials = 3", r"there is no table 'trials': .*; trials belongs into \[study\]"),
    ("[studdy]", "there is no table 'studdy': did you mean study?"),
    ("study = 3", r"study must be a table, \[study\]"),
    ("[study]\ntrails = 3", r"\[study\]: there is no key 'trails': did you mean trials\?"),
    ("[study]\npatience = 3", r"\[study\]: patience belongs into \[recipe\]"),
    ("[study]\noptimizer = 'sgd'", r"\[study\]: optimizer belongs into \[recipe\]"),
    ("[recipe]\ntrials = 3", r"\[recipe\]: trials belongs into \[study\]"),
    ("[recipe]\noptimiser = 'sgd'", r"\[recipe\]: there is no key 'optimiser': did you mean optimizer\?"),
    ("[study]\ntrials = 'many'", r"\[study\] trials must be a whole number, not 'many'"),
    ("[study]\nseeds = 'some'", r"\[study\] seeds must be a whole number or 'auto', not 'some'"),
    ("[study]\ntrials = 3.0", r"\[study\] trials must be a whole number, not 3.0"),
    ("[study]\ntrials = true", r"\[study\] trials must be a whole number, not true"),
    ("[study]\ntrials = 0", r"\[study\] trials must be at least 1, not 0"),
    ("[study]\nmax_epochs = 0", r"\[study\] max_epochs must be at least 1, not 0"),
    ("[recipe]\nbatch_size = 0", r"\[recipe\] batch_size must be at least 1, not 0"),
    ("[study]\nbaseline = 1", r"\[study\] baseline must be true or false, not 1"),
    ("[study]\narchs = 'alexnet'", r"\[study\] archs must be a list, not 'alexnet'"),
    ("[study]\narchs = []", r"\[study\] archs needs at least one network"),
    ("[study]\nfirst_lrs = [1e-3, '2']", r"\[study\] first_lrs must be a number, not '2'"),
    ("[study]\npreset = 'qick'", r"\[study\] preset: there is no value 'qick': did you mean quick\?"),
    ("[study]\nprecision = 'fp8'", r"\[study\] there is no precision 'fp8'"),
    ("[study]\ntest_share = nan", r"\[study\] test_share must be finite"),
    ('[study]\ndata_dir = "a\\u0000b"', r"\[study\] data_dir is not text"),
    ("[study]\ntitle = 2026-11-29", r"\[study\] title must be text, a number"),
    ("[recipe]\noptimizer = 'adagrad'", r"\[recipe\] optimizer: there is no value 'adagrad': choose from adam, adamw"),
    ("[recipe]\nnesterov = true", r"\[recipe\] nesterov needs optimizer = \"sgd\" with a momentum above 0"),
    ("[recipe]\noptimizer = 'sgd'\nmomentum = 0\nnesterov = true", "nesterov needs"),
    ("[recipe]\nmomentum = 1.5", r"\[recipe\] momentum must be at least 0 and below 1, not 1.5"),
    ("[recipe]\nweight_decay = -1", r"\[recipe\] weight_decay must be at least 0, not -1.0"),
    ("[recipe]\nwarmup_epochs = -1", r"\[recipe\] warmup_epochs must be at least 0, not -1"),
    ("[space]\nlr = 0.1", r"\[space\] lr must be a table such as"),
    (
        "[space]\nlearning_rate = {}",
        r"\[space\]: there is no hyperparameter 'learning_rate': choose from lr, .*\.",
    ),
    ("[space]\nmomentun = {}", r"\[space\]: there is no hyperparameter 'momentun': did you mean momentum\?"),
    ("[space]\n'model.a-b' = {}", r"\[space\]: there is no hyperparameter 'model.a-b'"),
    ("[space]\nlr = { low = 1, high = 2 }", r"\[space\] lr: type must be float, int or categorical, not None"),
    ("[space]\nlr = { type = 'real' }", r"\[space\] lr: type must be .*, not 'real'"),
    ("[space]\nlr = { type = 'float', low = 1 }", r"\[space\] lr: high is missing"),
    ("[space]\nlr = { type = 'float', low = 1, hihg = 2 }", r"\[space\] lr: there is no key 'hihg': did you mean high"),
    ("[space]\nlr = { type = 'float', low = 0.1, high = 0.01 }", r"lr: low must be below high, not 0.1 and 0.01"),
    ("[space]\nlr = { type = 'float', low = 0.1, high = 0.1 }", "lr: low must be below high, not 0.1 and 0.1"),
    ("[space]\nlr = { type = 'float', low = 0, high = 1, log = true }", "lr: low must be above 0 on a logarithmic"),
    ("[space]\nlr = { type = 'float', low = -1, high = 1 }", r"lr: low must be above 0, not -1"),
    ("[space]\nlr = { type = 'float', low = 0.1, high = '1' }", r"\[space\] lr: high must be a number, not '1'"),
    ("[space]\nlr = { type = 'int', low = 1, high = 2 }", r"\[space\] lr: type must be float"),
    ("[space]\nmodel.w = { type = 'int', low = 1, high = 2.5 }", r"model.w: high must be a whole number, not 2.5"),
    ("[space]\nmodel.w = { type = 'int', low = 1, high = 2, log = 1 }", r"model.w: log must be true or false, not 1"),
    ("[space]\nmodel.w = { type = 'int', low = 1, high = 8, step = 2 }", "no whole number of steps of 2 lies between"),
    ("[space]\nmodel.w = { type = 'int', low = 1, high = 9, log = true, step = 2 }", "step and log exclude each other"),
    ("[space]\nmodel.w = { type = 'int', low = 1, high = 9, step = 0 }", "step must be above 0, not 0"),
    ("[space]\nmodel.w = { type = 'categorical', choices = [] }", r"model.w: choices must be a list of at least one"),
    ("[space]\nmodel.w = { type = 'categorical', choices = [1, 'a'] }", "must be all text, all numbers, or all true"),
    ("[space]\nmodel.w = { type = 'categorical', choices = [1, 1.0] }", "the choice 1 stands there twice"),
    ("[space]\nmodel.w = { type = 'categorical', choices = [[1]] }", "a choice must be text, a number, or true"),
    ("[space]\nmodel.w = { type = 'categorical', low = 1 }", "there is no key 'low': choose from type, choices"),
    ("[space]\nlr = { type = 'categorical', choices = ['a'] }", r"lr: a choice must be a number, not 'a'"),
    ("[space]\ndropout = {}\nmodel.dropout = {}", r"\[space\]: dropout stands there twice; dropout and model.dropout"),
    ("[space]\nmomentum = { type = 'float', low = 0, high = 0.9 }", r"\[space\] momentum is searched, which only opt"),
    (
        "[recipe]\noptimizer = 'sgd'\nnesterov = true\n[space]\nmomentum = { type = 'float', low = 0, high = 0.9 }",
        r"\[space\] momentum must be above 0, because nesterov is true",
    ),
    ("[networks.alexnt]\ntitle = 'A'", r"\[networks\] there is no network 'alexnt': did you mean alexnet\?"),
    ("[networks.Net]\nfactory = 'filenets:Net'", r"\[networks.Net\] must be named by lower-case"),
    ("[networks]\nnet = 3", r"\[networks\] net must be a table, not 3"),
    ("[networks.net]\nfactory = 'filenets.Net'", r"\[networks.net\] factory must be an import path"),
    ("[networks.net]\nfactory = 'nowhere:Net'", "the network 'net': nowhere cannot be imported"),
    ("[networks.net]\nfactory = 'filenets:Nett'", "the network 'net': filenets has no function or class 'Nett'"),
    (NET + "batch_size = 3", r"\[networks.net\]: batch_size belongs into \[recipe\]"),
    (NET + "argumets = {}", r"\[networks.net\]: there is no key 'argumets': did you mean arguments\?"),
    (NET + "arguments = 3", r"\[networks.net\] arguments must be a table, not 3"),
    (NET + "baseline = { lr = 1.0 }", r"\[networks.net\] baseline: lr is 1.0, outside the range of the search"),
    (NET + "baseline = { lr = '1' }", r"\[networks.net\] baseline: lr must be a number, not '1'"),
    (NET + "baseline = { lr = [1] }", r"\[networks.net\] baseline: lr must be a number, text, or true or false"),
    (NET + "baseline = { width = 3 }", r"\[networks.net\] baseline: there is no hyperparameter 'width'"),
    (NET + "baseline = { model.width = 3 }", "the baseline of 'net' has model.width, which is not searched"),
    (NET + "space = { model.depth = { type = 'int', low = 1, high = 3 } }", "the baseline of 'net' has no model.depth"),
    ("[space]\ndropout = false", r"\[space\] dropout must be a table such as"),
    (NET + "space = { model.width = true }", r"\[networks.net.space\] model.width must be a table such as"),
    (NET + "space = { model.width = { type = 'int', low = 8, high = 1 } }", r"\[networks.net.space\] model.width: low"),
    (NET + "normalisation = 'imagenet'", r"\[networks.net\] normalisation must be \"training\", \"none\", or"),
    (NET + "normalisation = { mean = [0, 0, 0], deviation = [1, 1, 0] }", "deviation must be above 0, not 0"),
    (NET + "freeze = 'fc'", r"\[networks.net\] freeze must be a list, not 'fc'"),
    ("[study", r"study.toml is no TOML: Expected ']'"),
    ("a = " + "[" * 5000, "study.toml is no TOML: "),
    ("a = " + "9" * 5000, "study.toml is no TOML: "),
    ("[study]\ntest_share = " + "9" * 400, "test_share is too large"),
]


@pytest.mark.parametrize(("content", "message"), FAULTS)
def test_a_fault_is_one_line_that_names_file_table_and_key(path: Path, content: str, message: str) -> None:
    path.write_text(content)
    with pytest.raises(BadInput, match=message) as error:
        read_request(["--dataset", "digits", "--config", path.name])
    assert str(error.value).startswith("study.toml")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.toml", None, "--config 'gone.toml' cannot be read: No such file"),
        ("latin.toml", b"[study]\ntitle = '\xe9'", "latin.toml is no TOML: 'utf-8' codec"),
        ("results.json", b"[1]", "results.json is not the study.json of a study"),
        ("results.json", b"{", "results.json is no JSON: "),
        ("study.json", b'{"config": {"trials": 3}}', "study.json: its settings lack address"),
    ],
)
def test_a_file_that_is_no_study_file_is_named(name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(BadInput) as error:
        parse(["--config", name])
    assert str(error.value).startswith(message)


def test_the_page_of_the_documentation_names_every_key_and_its_files_work(tmp_path: Path) -> None:
    page = (Path(__file__).parents[4] / "docs" / "your-own-networks.md").read_text()
    for owner in (TrainingConfig, NetworkTable, RangeTable):
        for key in owner.__dataclass_fields__:
            assert f"`{key}" in page or key in ("values", "max_epochs"), key
    code, file = (page.partition(f"```{kind}\n")[2].partition("```")[0] for kind in ("python", "toml"))
    (tmp_path / "mynets.py").write_text(code)
    (tmp_path / "study.toml").write_text(file)
    config = read_request(["--config", "study.toml"]).config
    assert config.archs == ("net", "resnet18")
    assert list(space_of(config, "net").ranges) == ["lr", "dropout", "model.width"]
    assert list(space_of(config, "resnet18").ranges) == ["lr"]


def test_a_fault_ends_the_command_at_once(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text("[space]\nlr = { type = 'float', low = 1, high = 0.1 }")
    with within(10):
        assert main(["--config", path.name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: study.toml: [space] lr: low must be below high, not 1.0 and 0.1"
