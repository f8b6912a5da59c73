"""What a study may go on with, and what is refused with the difference named."""

import json
import shutil
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import product
from pathlib import Path
from shutil import copy

import numpy as np
import pandas as pd
import pytest
import torch
from optuna.distributions import FloatDistribution
from PIL import Image
from torch import Tensor, nn

from analysis.results.study_folder import StudyFolder
from models.networks.registry import ARCHITECTURES
from study.cli.opening import created_folder, take_up_folder
from study.cli.request import Request, read_request
from study.data.datasets import load_dataset
from study.errors import BadInput
from study.listeners.progress import Progress
from study.listeners.screen import Screen
from study.planning import checked
from study.run import main
from study.search.ledger import Ledger
from study.settings.search_space import SEARCH_SPACE, SearchSpace
from study.storage.claim import held
from study.storage.provenance import describe_networks

BEGUN = ["--dataset", "digits", "--train-size", "150", "--seeds", "3", "--archs", "mobilenet", "--name", "begun"]
RESUME = ["--resume", "--name", "begun"]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of studies with a study that was begun, and in which nothing has happened yet."""
    results = tmp_path_factory.mktemp("begun") / "results"
    request = read_request([*BEGUN, "--results-dir", str(results)])
    dataset = load_dataset(request.config)
    networks = describe_networks(request.config, len(dataset.classes))
    with created_folder(request, request.config, dataset, networks):
        pass
    return results


@pytest.fixture(autouse=True)
def folder(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyFolder:
    """A study of the test's own that was begun, in the current folder's results."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(begun, "results")
    return StudyFolder(Path("results/begun"))


@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        (["--trials", "5"], "was begun with --trials 32, not 5"),
        (["--max-epochs", "9"], "was begun with --max-epochs 50, not 9"),
        (["--batch-size", "64"], "was begun with --batch-size 128, not 64"),
        (["--first-lrs", "1e-2", "2e-4"], "was begun with --first-lrs none, not 0.01 0.0002"),
        (["--train-size", "200"], "was begun with --train-size 150, not 200"),
        (["--seed", "1"], "was begun with --seed 0, not 1"),
        (["--confirm", "0"], "was begun with --confirm 3, not 0"),
        (["--margin", "1"], "was begun with --margin none, not 1.0"),
        (["--budget-hours", "1"], "was begun with --budget-hours none, not 1.0"),
        (["--max-parameters", "9"], "was begun with --max-parameters none, not 9"),
        (["--archs", "alexnet"], "was begun with --archs mobilenet, not alexnet:"),
        (["--precision", "fp32"], "was begun with --precision auto, not fp32"),
        (["--kernels", "off"], "was begun with --kernels auto, not off"),
        (["--baseline"], "was begun without --baseline:"),
        (["--dataset", "folder"], "was begun with --dataset digits, not folder"),
        (["--storage", "elsewhere"], "was begun with --storage none, not"),
        (["--seeds", "2"], "has --seeds 3: a study can be given more, not fewer"),
    ],
)
def test_another_configuration_is_refused(
    arguments: list[str], difference: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*RESUME, *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert difference in line


@pytest.mark.parametrize(
    ("content", "difference"),
    [
        ('[recipe]\noptimizer = "sgd"', "was begun with another [recipe] (optimizer adam, not sgd)"),
        (
            '[space]\nlr = { type = "float", low = 1e-4, high = 1 }\ndropout = { type = "float", low = 0, high = 0.7 }',
            "was begun with another [space] (lr.high 0.01, not 1.0)",
        ),
        (
            "[networks.mobilenet]\nbaseline = { lr = 2e-3 }",
            "was begun with another [networks] (mobilenet.baseline.lr 0.001, not 0.002)",
        ),
        ("[study]\ntrials = 7", "was begun with --trials 32, not 7"),
    ],
)
def test_another_study_file_is_refused(content: str, difference: str) -> None:
    Path("other.toml").write_text(content)
    with pytest.raises(BadInput) as error:
        read_request([*RESUME, "--config", "other.toml"])
    assert difference in str(error.value)


def test_the_study_file_that_a_study_wrote_resumes_it(folder: StudyFolder) -> None:
    request = read_request([*RESUME, "--config", str(folder.path / "config.toml")])
    assert request.config.archs == ("mobilenet",)
    take_up_folder(request, load_dataset(request.config))
    assert read_request(RESUME).config == request.config


NET = """
from torch import nn

def plain(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, num_classes))
"""


def test_trials_and_networks_are_added_before_a_test_image_was_predicted(folder: StudyFolder) -> None:
    Path("addednets.py").write_text(NET)
    before = folder.read_study()
    request = read_request([*RESUME, "--trials", "40", "--add-arch", "addednets:plain"])
    assert (request.config.trials, request.config.archs) == (40, ("mobilenet", "plain"))
    take_up_folder(request, load_dataset(request.config))
    study = folder.read_study()
    assert (study["resumed"][0]["added_trials"], study["resumed"][0]["added_networks"]) == (8, ["plain"])
    assert study["architectures"]["mobilenet"] == before["architectures"]["mobilenet"] | {
        "space": SEARCH_SPACE.to_json()
    }
    assert list(study["search"]["space"]) == ["lr"]
    assert study["architectures"]["plain"]["parameters"] == 30730
    assert read_request(RESUME).config == request.config
    assert read_request([*RESUME, "--config", str(folder.path / "config.toml")]).config == request.config


@pytest.mark.parametrize(
    "own",
    ["", "arguments = { width = 4 }", 'space = { dropout = { type = "float", low = 0.1, high = 0.3 } }'],
)
@pytest.mark.parametrize("default", ["", " = 0.2"])
def test_a_study_file_resumes_a_study_whose_dropout_was_left_out(own: str, default: str) -> None:
    module = f"idlenets{len(default)}"
    Path(f"{module}.py").write_text(NET.replace("num_classes)", f"num_classes, dropout{default}, width=1)", 1))
    Path("own.toml").write_text(f"""
[study]
dataset = "digits"
train_size = 150
[networks.plain]
factory = "{module}:plain"
baseline = {{ lr = 1e-3, dropout = 0.2 }}
{own}
""")
    with Progress(Screen(), quiet=True) as progress:
        request = checked(read_request(["--config", "own.toml", "--name", "idle"]), progress)
    assert request.notes["plain"] == ["ignores its dropout, so dropout is not searched"]
    dataset = load_dataset(request.config)
    networks = describe_networks(request.config, len(dataset.classes), request.notes)
    with created_folder(request, request.config, dataset, networks):
        pass
    again = read_request(["--resume", "--name", "idle", "--config", "own.toml"])
    assert again.config.networks == request.config.networks
    Path("own.toml").write_text(Path("own.toml").read_text().replace("1e-3", "2e-3"))
    with pytest.raises(BadInput, match=r"another \[networks\] \(plain.baseline.lr 0.001, not 0.002\)"):
        read_request(["--resume", "--name", "idle", "--config", "own.toml"])


def test_a_network_that_is_added_is_checked_first(folder: StudyFolder) -> None:
    Path("faultynets.py").write_text(NET.replace("num_classes))", "num_classes), nn.Softmax(1))"))
    with Progress(Screen(), quiet=True) as progress:
        request = read_request([*RESUME, "--add-arch", "faultynets:plain"])
        with pytest.raises(BadInput, match="the network 'plain' "):
            checked(request, progress)
        request = read_request(RESUME)
        assert checked(request, progress) is request


@pytest.mark.parametrize("arguments", [["--trials", "33"], ["--add-arch", "alexnet"]])
def test_nothing_is_added_once_a_test_image_was_predicted(folder: StudyFolder, arguments: list[str]) -> None:
    folder.final.path_of("mobilenet-tuned", 0).mkdir(parents=True)
    with pytest.raises(BadInput, match="begun has predicted test images, so it takes no more trials or networks"):
        read_request([*RESUME, *arguments])
    assert read_request([*RESUME, "--seeds", "9"]).config.seeds == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*RESUME, "--add-arch", "mobilenet"], "--archs names a network twice: mobilenet"),
        ([*RESUME, "--add-arch", "alexnt"], r"there is no network 'alexnt': did you mean alexnet\?"),
        (["--add-arch", "alexnet"], "--add-arch goes with --resume: name the networks of a new study by --archs"),
    ],
)
def test_a_network_that_cannot_be_added_is_named(arguments: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_request(arguments)


def test_more_seeds_and_another_pace_are_not() -> None:
    request = read_request([*RESUME, "--seeds", "5", "--concurrency", "1"])
    assert request.is_resumed
    assert (request.config.seeds, request.config.concurrency, request.config.trials) == (5, 1, 32)


def test_the_looks_of_a_study_stay(folder: StudyFolder) -> None:
    with pytest.raises(BadInput, match="was begun with --seeds 3, not auto: leave the flag out, or begin anew"):
        read_request([*RESUME, "--seeds", "auto", "--add-arch", "alexnet"])
    with pytest.raises(BadInput, match="--seeds auto stops by the verdict, and one network has none: give a number"):
        read_request([*BEGUN, "--name", "other", "--seeds", "auto"])
    begin = [*BEGUN[:4], "--seeds", "auto", "--archs", "mobilenet", "alexnet", "--name", "looked"]
    with _created(read_request(begin)):
        pass
    begun = StudyFolder(Path("results/looked"))
    first = begun.read_study()
    plan = [{"seeds": 5, "alpha": 0.01}, {"seeds": 10, "alpha": 0.02}, {"seeds": 20, "alpha": 0.03}]
    assert first["looks"] == {"plan": plan, "reached": 5} and first["config"]["seeds"] == "auto"
    assert '\nseeds = "auto"\n' in (begun.path / "config.toml").read_text()
    again = read_request(["--config", "results/looked/config.toml", "--name", "again"])
    assert again.config.seeds == "auto"

    resume = ["--resume", "--name", "looked"]
    for seeds in ("20", "30"):
        with pytest.raises(BadInput, match=f"was begun with --seeds auto, not {seeds}: leave the flag out, or begin"):
            read_request([*resume, "--seeds", seeds])
    begun.write_study(first | {"looks": first["looks"] | {"reached": 10}})
    request = read_request([*resume, "--seeds", "auto"])
    assert request.config.seeds == "auto"
    take_up_folder(request, load_dataset(request.config))
    assert begun.read_study()["looks"] == {"plan": plan, "reached": 10}
    assert begun.read_study()["resumed"][0]["added_seeds"] == 0


def test_a_study_with_a_budget_goes_on_with_the_numbers_that_were_planned(folder: StudyFolder, tmp_path: Path) -> None:
    study = folder.read_study()
    planned = {"budget_hours": 2.0, "trials": 12, "confirm": 1, "seeds": 5}
    folder.write_study(study | {"config": study["config"] | planned})
    (tmp_path / "study.toml").write_text("[study]\ntrials = 20\nseeds = 9\n")
    for words in (["--config", "study.toml", "--budget-hours", "2"], ["--budget-hours", "2"], []):
        config = read_request([*RESUME, *words]).config
        assert (config.trials, config.confirm, config.seeds) == (12, 1, 5)
    assert read_request([*RESUME, "--budget-hours", "2", "--seeds", "8"]).config.seeds == 8
    assert read_request([*RESUME, "--budget-hours", "2", "--trials", "20"]).config.trials == 20
    with pytest.raises(BadInput, match="was begun with --trials 12, not 7"):
        read_request([*RESUME, "--budget-hours", "2", "--trials", "7"])


def test_a_network_that_is_added_is_held_to_the_limits(folder: StudyFolder, capsys: pytest.CaptureFixture[str]) -> None:
    study = folder.read_study()
    folder.write_study(study | {"config": study["config"] | {"max_parameters": 20_000}})
    assert main([*RESUME, "--add-arch", "alexnet", "--dry-run"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: the baseline of 'alexnet' has 6,387,658 parameters, above --max-parameters 20,000")


@pytest.mark.parametrize(
    ("flags", "file", "fixed"),
    [
        (["--budget-hours", "2"], "trials = 9", {"budget_hours", "study_file"}),
        (["--budget-hours", "2", "--trials", "8"], "trials = 9", {"budget_hours", "study_file", "trials"}),
        (["--seeds", "8"], "trials = 9\nbudget_hours = 2", {"seeds", "study_file", "trials", "budget_hours"}),
    ],
)
def test_what_stands_beside_the_budget_stays(flags: list[str], file: str, fixed: set[str], tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(f"[study]\n{file}\n")
    assert read_request([*flags, "--config", "study.toml"]).fixed == fixed


@pytest.mark.parametrize(
    ("gpus", "flags", "line"),
    [
        (1, [], "--budget-hours cannot plan a study on a GPU, whose speed is known only after it has begun: leave"),
        (0, ["--address", "auto"], "--budget-hours cannot plan a study on a cluster, whose"),
    ],
)
def test_a_budget_needs_the_cpus_of_this_machine(
    gpus: int, flags: list[str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(BadInput, match=line):
        read_request(["--budget-hours", "2", *flags])


def test_a_study_of_a_gpu_says_how_it_goes_on_without_one(
    folder: StudyFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    study = folder.read_study()
    on_a_gpu = {"gpus_per_trial": 0.25, "cpus_per_trial": 64.0, "concurrency": 4}
    folder.write_study(study | {"config": study["config"] | on_a_gpu})
    assert main([*RESUME, "--dry-run"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --gpus-per-trial 0.25 needs a GPU, and there is none: ")
    flags = line.partition("train on CPUs by ")[2].split()
    assert main([*RESUME, "--dry-run", *flags]) == 0


@pytest.mark.parametrize("flags", [["--baseline"], ["--precision", "auto"], ["--train-size", "none"]])
def test_the_command_that_began_a_study_resumes_it(flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["--dataset", "digits", "--seeds", "2", *flags, "--name", "again"]
    request = read_request(command)
    dataset = load_dataset(request.config)
    networks = describe_networks(request.config, len(dataset.classes))
    config = replace(request.config, precision="bf16", cpus_per_trial=1.0)  # as the machine resolves them
    with created_folder(request, config, dataset, networks):
        pass
    assert read_request(["--resume", *command]).config == config


def test_a_search_whose_journal_is_gone_is_not_made_again_in_silence(
    folder: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = Ledger(folder.journal)
    ledger.ask("mobilenet", 0, {"lr": 1e-3, "dropout": 0.0})
    ledger.end("mobilenet-0", "FAILED")
    folder.write_trials(ledger.trials_table())
    folder.journal.unlink()
    assert main(RESUME) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("journal.jsonl is missing and 1 trials with it: put it back, or begin anew")


def _created(request: Request) -> AbstractContextManager[Path | None]:
    dataset = load_dataset(request.config)
    networks = describe_networks(request.config, len(dataset.classes))
    return created_folder(request, request.config, dataset, networks)


def test_what_lies_there_without_a_study_json_is_set_aside(folder: StudyFolder) -> None:
    Ledger(folder.journal).ask("mobilenet", 0, {"lr": 1e-3, "dropout": 0.0})
    journal = folder.journal.read_bytes()
    (folder.path / "study.json").unlink()
    with _created(read_request([*BEGUN, "--resume"])) as aside:
        assert aside is not None
        assert aside.parent == folder.path.parent and aside.name.startswith("begun-set-aside-")
        assert (aside / "tune" / "journal.jsonl").read_bytes() == journal
        assert sorted(entry.name for entry in folder.path.iterdir()) == ["config.toml", "study.json"]
    (folder.path / "study.json").unlink()
    with _created(read_request(BEGUN)) as aside:
        assert aside is None, "nothing is lost there"
    (folder.path / "study.json").rename(folder.path / "trials.csv")
    with _created(read_request(BEGUN)) as aside:
        assert aside is not None and (aside / "trials.csv").exists()


def test_studies_begun_in_the_same_second_have_names_of_their_own() -> None:
    unnamed = read_request(["--dataset", "digits", "--train-size", "150", "--archs", "mobilenet"])
    first, second, third = (replace(unnamed, folder=StudyFolder(unnamed.folder.path)) for _ in range(3))
    with _created(first), _created(second):
        assert second.folder.path.name == f"{first.folder.path.name}-2"
        assert second.folder.read_study()["name"] == second.folder.path.name
    with _created(third):
        assert third.folder.path.name == f"{first.folder.path.name}-3"
    named = replace(unnamed, is_named=True)
    with pytest.raises(BadInput, match="exists already"), _created(named):
        pass


def test_every_session_that_goes_on_is_noted(folder: StudyFolder) -> None:
    before = folder.read_study()
    for seeds in ("5", "6"):
        request = read_request([*RESUME, "--seeds", seeds])
        take_up_folder(request, load_dataset(request.config))
    study = folder.read_study()
    assert [session["command"] for session in study["resumed"]] == [
        f"python -m study.run --resume --name begun --seeds {seeds}" for seeds in ("5", "6")
    ]
    assert [session["added_seeds"] for session in study["resumed"]] == [2, 1]
    assert study["resumed"][1]["environment"] == before["environment"]
    assert (study["command"], study["config"]["seeds"]) == (before["command"], 6)


def _put_images(folder: Path, *parts: str) -> None:
    """Write twenty pictures in each part that are unlike all others."""
    rng = np.random.default_rng(0)
    for path, number in product(parts, range(20)):
        (folder / path).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8)).save(folder / path / f"{number}.png")


def test_data_that_were_moved_are_the_same(tmp_path: Path) -> None:
    here, there = tmp_path / "images", tmp_path / "moved"
    _put_images(here, "train/a", "train/b", "test/a", "test/b")
    with _created(read_request(["--dataset", "folder", "--data-dir", str(here), "--name", "moved"])):
        pass
    here.rename(there)
    request = read_request(["--resume", "--name", "moved", "--data-dir", str(there)])
    take_up_folder(request, load_dataset(request.config))
    assert request.folder.read_study()["config"]["data_dir"] == str(there)


def test_what_was_noticed_in_the_images_is_written_down(tmp_path: Path) -> None:
    _put_images(tmp_path / "pets", "train/a", "train/b", "test/a", "test/b")
    copy(tmp_path / "pets/test/a/3.png", tmp_path / "pets/train/a/leak.png")
    (tmp_path / "pets/train/b/photo.heic").touch()
    request = read_request(["--dataset", "folder", "--data-dir", "pets", "--name", "noticed"])
    with _created(request):
        pass
    data = request.folder.read_study()["data"]
    assert (data["n_train"], data["unread"], data["repeats"]) == (40, {".heic": 1}, {"train and test": 1})
    assert [note[:20] for note in data["notes"]] == ["1 file is not read: ", "1 of 41 training ima"]
    table = pd.read_csv(request.folder.path / "repeats.csv")
    assert table.to_dict("records") == [
        {"kind": "train and test", "image": "train/a/leak.png", "repeats": "test/a/3.png", "likeness": "equal"}
    ]
    assert not (request.folder.path / "split.csv").exists()


def test_the_split_of_one_folder_is_written_down_and_made_again_on_resume(tmp_path: Path) -> None:
    _put_images(tmp_path / "pets", "a", "b")
    request = read_request(["--dataset", "folder", "--data-dir", "pets", "--test-share", "0.25", "--name", "split"])
    with _created(request):
        pass
    table = pd.read_csv(request.folder.path / "split.csv")
    assert table.groupby(["class", "part"]).size().to_dict() == {
        ("a", "test"): 5,
        ("a", "train"): 15,
        ("b", "test"): 5,
        ("b", "train"): 15,
    }
    request = read_request(["--resume", "--name", "split"])
    take_up_folder(request, load_dataset(request.config))


def test_an_older_study_keeps_the_images_that_it_began_with(folder: StudyFolder) -> None:
    study = folder.read_study()
    for setting in ("duplicates", "title", "test_share", "test_seed", "group_by"):
        del study["config"][setting]
    folder.write_study(study)
    request = read_request(RESUME)
    assert (request.config.duplicates, request.config.test_share) == ("keep", 0.2)
    take_up_folder(request, load_dataset(request.config))


def test_an_older_study_with_its_classes_in_another_order_is_refused(tmp_path: Path) -> None:
    _put_images(tmp_path / "pets", "train/2", "train/10", "test/2", "test/10")
    begun = read_request(["--dataset", "folder", "--data-dir", "pets", "--name", "ordered"])
    with _created(begun):
        pass
    study = begun.folder.read_study()
    study["data"] |= {"classes": ["10", "2"], "fingerprint": "0" * 64}
    begun.folder.write_study(study)
    request = read_request(["--resume", "--name", "ordered"])
    with pytest.raises(
        BadInput, match=r"with another order of the classes \(10, 2, not 2, 10\): go on with that version"
    ):
        take_up_folder(request, load_dataset(request.config))


def test_other_data_are_refused(folder: StudyFolder) -> None:
    request = read_request(RESUME)
    dataset = load_dataset(request.config)
    take_up_folder(request, dataset)
    images = dataset.train.images.copy()
    images[0, 0, 0, 0] ^= 1
    with pytest.raises(BadInput, match=r"begun was begun with other data: the fingerprint is .* now, not "):
        take_up_folder(request, replace(dataset, train=replace(dataset.train, images=images)))


class _Wider(nn.Module):
    def __init__(self, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 40, 3), nn.Flatten(), nn.Linear(40 * 30 * 30, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.features(images)
        return logits


@pytest.mark.parametrize("has_fingerprint", [True, False], ids=["now", "begun by an older version"])
def test_another_network_of_the_same_name_is_refused(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch, has_fingerprint: bool
) -> None:
    request = read_request(RESUME)
    dataset = load_dataset(request.config)
    take_up_folder(request, dataset)
    study = folder.read_study()
    if not has_fingerprint:
        del study["architectures"]["mobilenet"]["fingerprint"]
        folder.write_study(study)
        take_up_folder(request, dataset)
    changed = {"factory": _Wider, "baseline": {"dropout": 0.25}}
    lines = {
        "factory": "features.0.weight has shape 40x3x3x3, was 32x3x3x3"
        if has_fingerprint
        else "its parameters: 361130 now, 13898 then",
        "baseline": "its baseline has dropout 0.25, had 0.0" if has_fingerprint else "its baseline: .* now, .* then",
    }
    for name, value in changed.items():
        other = replace(ARCHITECTURES["mobilenet"], **{name: value})
        with monkeypatch.context() as swapped:
            swapped.setitem(ARCHITECTURES, "mobilenet", other)
            with pytest.raises(BadInput, match=f"begun was begun with another network 'mobilenet': {lines[name]}"):
                take_up_folder(request, dataset)
    take_up_folder(request, dataset)


def test_another_format_is_refused(folder: StudyFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.write_study(folder.read_study() | {"format": 99, "environment": {"version": "9.9"}})
    assert main(RESUME) == 2
    line = "begun is of format 99 by fairverdict 9.9; this version reads format 2: go on with that version, or begin"
    assert line in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "writer", "named"),
    [
        (
            "confirm",
            {"version": "0.0.9", "git_commit": "12345678901234567890"},
            "fairverdict 0.0.9 (commit 123456789012)",
        ),
        ("trials", {}, "an unnumbered version of fairverdict"),
        ("batch_size_of_tomorrow", {"version": "2.0"}, "fairverdict 2.0"),
    ],
)
def test_no_setting_of_another_version_is_guessed(
    setting: str, writer: dict[str, str], named: str, folder: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """A default for the confirmation runs would start training in a study that is finished."""
    study = folder.read_study()
    config = {name: value for name, value in study["config"].items() if name != setting}
    config |= {} if setting in study["config"] else {setting: 256}
    folder.write_study(study | {"config": config, "resumed": [{"environment": writer}]})
    assert main(RESUME) == 2
    (line,) = capsys.readouterr().err.splitlines()
    fault = "its settings lack" if setting in study["config"] else "this version does not know its setting"
    place = folder.path / "study.json"
    assert line == f"error: {place} is by {named}: {fault} {setting}; go on with that version, or begin anew"


@pytest.mark.parametrize(
    ("setting", "before"),
    [
        ("grace_period", 7),
        ("startup_trials", 99),
        ("sampler", None),
        ("sampler_version", None),
        ("choice", None),
        ("recipe_version", 0),
        ("tolerance", 0.5),
        ("patience", 99),
    ],
)
def test_a_version_that_searches_otherwise_does_not_go_on(
    setting: str, before: int | None, folder: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    study = folder.read_study()
    search = {name: value for name, value in study["search"].items() if name != setting}
    folder.write_study(study | {"search": search if before is None else search | {setting: before}})
    assert main(RESUME) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"begun by a version that searches otherwise ({setting} {before}, not " in line


@pytest.mark.parametrize("data", [None, [], {}, {"n_train": 0}, {"n_train": True}, {"n_train": "150"}])
def test_a_study_that_does_not_say_what_it_trains_on_is_named(
    data: object, folder: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.write_study(folder.read_study() | {"data": data})
    assert main(RESUME) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{folder.path} does not say how many training images it was begun with" in line


def test_so_few_images_move_the_first_rung(folder: StudyFolder) -> None:
    assert folder.read_study()["search"]["grace_period"] == 30, "135 images: two steps an epoch, 60 wanted"


@pytest.mark.parametrize("damage", ["cut", "random", "empty", "list", "keys", "values"])
def test_a_damaged_study_file_is_named(folder: StudyFolder, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder.path / "study.json"
    content = file.read_bytes()
    study = json.loads(content)
    damaged = {
        "cut": content[: len(content) // 2],
        "random": content[:100] + bytes(range(128, 160)) + content[132:],
        "empty": b"",
        "list": b"[1, 2]",
        "keys": json.dumps({key: value for key, value in study.items() if key != "config"}).encode(),
        "values": json.dumps(study | {"config": study["config"] | {"trials": "many"}}).encode(),
    }
    file.write_bytes(damaged[damage])
    assert main(RESUME) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert "study.json" in line
    assert "begun" in line


def test_without_a_name_the_study_worked_on_last_goes_on_and_is_named(
    folder: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with _created(read_request([*BEGUN[:-1], "later"])):
        pass
    later = StudyFolder(Path("results") / "later")
    later.write_study(later.read_study() | {"created": "2100-01-01T00:00:00+00:00"})
    assert read_request(["--resume"]).folder.path == later.path
    session = {"created": "2100-01-01T00:00:01+00:00"}
    folder.write_study(folder.read_study() | {"resumed": [session]})
    later.write_study(later.read_study())
    with held(folder.path):
        assert main(["--resume"]) == 2
    printed = capsys.readouterr()
    line = f"Going on with results/begun: its last session began last ({session['created']})\n"
    assert printed.out == line
    assert "another process is at work on the study results/begun" in printed.err


def test_a_damaged_study_leaves_open_which_was_last(folder: StudyFolder, capsys: pytest.CaptureFixture[str]) -> None:
    (folder.path / "study.json").write_text("{")
    assert main(["--resume"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "begun/study.json" in line and line.endswith("say which study to go on with by --name")


def test_a_study_with_a_name_like_the_one_to_resume_is_named(folder: StudyFolder) -> None:
    with pytest.raises(BadInput, match=r"there is no study in results 'begn': did you mean begun\?"):
        read_request(["--resume", "--name", "begn"])


@pytest.mark.parametrize(
    ("arch", "dropout", "message"),
    [
        ("mobilnet", None, r"there is no network 'mobilnet': did you mean mobilenet\?"),
        ("vgg", None, r"there is no network 'vgg': choose from alexnet, mobilenet"),
        (
            "mobilenet",
            0.8,
            r"\[networks.mobilenet\] baseline: dropout is 0\.8, outside the range of the search",
        ),
    ],
)
def test_a_network_that_cannot_be_searched_is_refused(
    arch: str, dropout: float | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if dropout is not None:
        monkeypatch.setitem(ARCHITECTURES, arch, replace(ARCHITECTURES[arch], baseline={"dropout": dropout}))
    with pytest.raises(BadInput, match=message):
        read_request(["--dataset", "digits", "--archs", arch])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--batch-size", "1"],
            r"\[networks.alexnet\] baseline: lr is 8\.8.*e-05, outside the range .* range or batch size",
        ),
        (["--first-lrs", "0.5"], "--first-lrs: 0.5 is outside the range of the search"),
    ],
)
def test_a_learning_rate_outside_the_search_space_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_request(["--dataset", "digits", *arguments])


def test_a_search_space_without_the_baseline_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    spaces = {
        r"\[networks.alexnet\] baseline: dropout is 0.5, outside the range of the search": {"dropout": (0.0, 0.3)},
    }
    for message, ranges in spaces.items():
        changed = {name: FloatDistribution(*ends) for name, ends in ranges.items()}
        monkeypatch.setattr("study.settings.networks.SEARCH_SPACE", SearchSpace({**SEARCH_SPACE.ranges, **changed}))
        with pytest.raises(BadInput, match=message):
            read_request(["--dataset", "digits"])
