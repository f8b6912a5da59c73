"""A new study that goes on from an earlier one: its settings, its seeds, the trials it is told, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.results.files import DamagedFile
from analysis.results.study_folder import StudyFolder
from study.cli.opening import created_folder
from study.cli.request import Request, read_request
from study.data.datasets import load_dataset
from study.earlier.telling import Telling, check_same_data, told_trials, trials_to_tell
from study.errors import BadInput
from study.run import main
from study.search.ledger import Ledger
from study.stages import open_search
from study.storage.provenance import describe_networks
from tests.builders import epoch

NET = """
from torch import nn

def plain(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, num_classes))

def other(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, num_classes), nn.Identity())
"""
FIRST = ["--dataset", "digits", "--train-size", "150", "--trials", "4", "--name", "first"]
NETWORKS = ["--archs", "toldnets:plain", "toldnets:other"]
FROM = ["--from", "results/first", "--name", "second"]
# The last two have no score: one failed, one runs.
TRIALS = ((1e-3, 0.5), (2e-3, 0.7), (9e-3, None))


def begin(arguments: list[str]) -> tuple[StudyFolder, Telling | None]:
    """Make the folder of a study as a run does, without Ray."""
    request = read_request(arguments)
    telling = tell(request)
    dataset = load_dataset(request.config)
    networks = describe_networks(request.config, len(dataset.classes))
    with created_folder(request, request.config, dataset, networks, telling):
        pass
    return request.folder, telling


def tell(request: Request) -> Telling | None:
    check_same_data(request.earlier, load_dataset(request.config))
    return trials_to_tell(request.earlier, request.config, describe_networks(request.config, 10))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the networks' file and a study whose first network has trials."""
    home = tmp_path_factory.mktemp("told")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(home)
        Path("toldnets.py").write_text(NET)
        folder, _ = begin([*FIRST, *NETWORKS])
        ledger = Ledger(folder.journal)
        for number, (lr, score) in enumerate(TRIALS):
            ledger.ask("plain", number, {"lr": lr})
            if score is not None:
                ledger.report(f"plain-{number}", epoch(1, 1.0, score))
            ledger.end(f"plain-{number}", "FAILED" if score is None else "PRUNED")
        ledger.ask("other", 0, {"lr": 1e-3})
    return home


@pytest.fixture(autouse=True)
def first(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyFolder:
    """Return a study of the test's own, in the current folder's results."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return StudyFolder(Path("results/first"))


def test_a_new_study_takes_the_settings_and_the_images_but_no_seed(first: StudyFolder) -> None:
    old = read_request(["--resume", "--name", "first"]).config
    assert (old.seed, old.train_seed) == (0, None)
    assert read_request(FROM).config == replace(old, seed=1, train_seed=0)
    given = read_request([*FROM, "--trials", "9", "--seed", "7"]).config
    assert given == replace(old, trials=9, seed=7, train_seed=0)
    Path("own.toml").write_text("[study]\ntrials = 5\nconfirm = 1\n")
    given = read_request([*FROM, "--config", "own.toml", "--trials", "9"]).config
    assert given == replace(old, trials=9, confirm=1, seed=1, train_seed=0)
    all_images = first.read_study()
    all_images["config"]["train_size"] = None
    first.write_study(all_images)
    assert read_request(FROM).config.train_seed is None


def test_every_later_study_has_a_seed_that_none_before_it_had() -> None:
    second, _ = begin(FROM)
    shutil.copy("results/first/tune/journal.jsonl", second.journal)
    third, telling = begin(["--from", "results/second", "--name", "third"])
    assert telling is not None and telling.origin["seeds"] == [0, 1]
    config = read_request(["--resume", "--name", "third"]).config
    assert (config.seed, config.train_seed) == (2, 0)
    for seed in ("0", "1"):
        with pytest.raises(BadInput, match=f"--seed {seed} was the seed of results/second or of a study that it came"):
            read_request(["--from", "results/second", "--seed", seed])
    assert third.read_study()["data"]["fingerprint"] == second.read_study()["data"]["fingerprint"]


def test_the_trials_that_ended_with_a_score_are_told_and_kept(first: StudyFolder) -> None:
    with first.journal.open("ab") as journal:
        journal.write(b'{"event": "ask", "arch": "pl')  # a driver is just writing it
    before = {path: path.read_bytes() for path in first.path.rglob("*") if path.is_file()}
    second, telling = begin(FROM)
    assert telling is not None
    assert telling.sentence() == (
        "The samplers are told 2 trials of plain from first; none of other (no trial of it has ended with a score)"
    )
    assert before == {path: path.read_bytes() for path in first.path.rglob("*") if path.is_file()}
    assert second.read_study()["origin"] == {
        "study": "first",
        "seeds": [0],
        "is_tested": False,
        "told": {"plain": 2},
        "untold": {"other": "no trial of it has ended with a score"},
    }
    assert told_trials(second) == {"plain": [({"lr": 1e-3}, 0.5), ({"lr": 2e-3}, 0.7)]}
    assert told_trials(first) == {}
    assert "--config FILE --from DIR`" in (second.path / "config.toml").read_text().splitlines()[0]


def test_the_search_is_a_function_of_what_is_kept(first: StudyFolder) -> None:
    second, _ = begin(FROM)
    shutil.rmtree(first.path)
    config = read_request(["--resume", "--name", "second"]).config
    proposed = []
    for _ in range(2):
        search = open_search(second, config)
        while (trial := search.next_trial()) is not None and trial.trial_id != "plain-1":
            pass
        assert trial is not None
        proposed.append(trial.values)
        assert search.ledger.count("plain") == 2
        assert search.leaders("plain") == []
        second.journal.unlink()
    assert proposed[0] == proposed[1]
    search = open_search(second, config)
    search.samplers["plain"] = open_search(StudyFolder(untold(second)), config).samplers["plain"]
    while (trial := search.next_trial()) is not None and trial.trial_id != "plain-1":
        pass
    assert trial is not None and trial.values != proposed[0]


def untold(folder: StudyFolder) -> Path:
    """Return a copy of a study that was told nothing."""
    path = folder.path.with_name("untold")
    shutil.copytree(folder.path, path)
    study = folder.read_study()
    del study["origin"]
    StudyFolder(path).write_study(study)
    return path


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_text("{}")])
def test_a_study_that_lost_what_it_was_told_does_not_go_on(damage: object) -> None:
    second, _ = begin(FROM)
    assert callable(damage)
    damage(second.told)
    with pytest.raises(DamagedFile, match=r"told\.json"):
        open_search(second, read_request(["--resume", "--name", "second"]).config)


def test_that_the_test_images_were_seen_is_noted_and_handed_on(first: StudyFolder) -> None:
    first.final.path_of("plain-tuned", 0).mkdir(parents=True)
    second, telling = begin(FROM)
    assert telling is not None and telling.origin["is_tested"]
    shutil.copy(first.journal, second.journal)
    _, telling = begin(["--from", "results/second", "--name", "third"])
    assert telling is not None and telling.origin["is_tested"]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--max-epochs", "9"], "plain: max_epochs is 9, was 50; other: max_epochs is 9, was 50"),
        (["--batch-size", "9"], "plain: batch_size is 9, was 128"),
        (["--grace-steps", "9"], "plain: grace_steps is 9, was 60"),
        (["--archs", "mobilenet"], "mobilenet: that study does not have it"),
        (["--archs", "other"], "other: no trial of it has ended with a score"),
        (["--config", "space.toml"], "plain: its search space is another"),
        (["--config", "recipe.toml"], "plain: recipe is {'weight_decay': 0.1}, was {}"),
        (["--config", "arguments.toml"], "plain: normalisation is none, was training"),
        (["--config", "factory.toml"], "plain: factory is toldnets:other, was toldnets:plain"),
    ],
)
def test_a_study_that_can_be_told_nothing_is_refused(flags: list[str], reason: str) -> None:
    Path("space.toml").write_text('[space]\nlr = { type = "float", low = 1e-4, high = 1e-1, log = true }\n')
    Path("recipe.toml").write_text("[recipe]\nweight_decay = 0.1\n")
    table = '[networks.plain]\nfactory = "toldnets:{}"\n'
    Path("arguments.toml").write_text(table.format("plain") + 'normalisation = "none"\n')
    Path("factory.toml").write_text(table.format("other"))
    with pytest.raises(BadInput) as error:
        tell(read_request([*FROM, *flags]))
    assert str(error.value).startswith("--from results/first: none of its trials fits this study (")
    assert reason in str(error.value)


def test_another_source_of_a_network_is_not_told(first: StudyFolder) -> None:
    study = first.read_study()
    study["architectures"]["plain"]["fingerprint"]["layers"] = "0" * 64
    first.write_study(study)
    with pytest.raises(BadInput, match="plain: a layer or its settings differ"):
        tell(read_request(FROM))


@pytest.mark.parametrize("flags", [["--train-size", "140"], ["--train-seed", "5"]])
def test_other_images_are_refused(flags: list[str]) -> None:
    with pytest.raises(BadInput, match=r"--from results/first: that study has other data \(fingerprint [0-9a-f]{12}"):
        tell(read_request([*FROM, *flags]))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--from", "nowhere"], "--from: nowhere is not a study (it holds no study.json): give the folder of a study"),
        (["--from"], "--from needs a value"),
        (["--from", "x" * 300], "cannot be read (File name too long): give the folder of a study"),
        (["--from", "results/damaged"], "--from: results/damaged/study.json is not readable as JSON"),
        (["--from", "results/older"], "results/older is of format 1 by fairverdict 0.1.0"),
        (["--from", "results/newer"], "this version does not know its setting colour; name a study of this version"),
        ([*FROM, "--resume"], "--from begins a new study, and --resume goes on with one"),
        ([*FROM, "--baseline"], "--from tells the trials of results/first to a search, which --baseline leaves out"),
        ([*FROM, "--preset", "quick"], "--from takes the settings of results/first: leave --preset out"),
        ([*FROM, "--seed", "0"], "--seed 0 was the seed of results/first or of a study that it came from"),
    ],
)
def test_what_no_study_can_go_on_from_is_one_line(
    arguments: list[str], line: str, first: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, changes in {"damaged": None, "older": {"format": 1}, "newer": {"config": {"colour": 1}}}.items():
        study = first.read_study()
        if changes and "config" in changes:
            changes = {"config": study["config"] | {"colour": 1}}
        shutil.copytree(first.path, first.path.with_name(name))
        text = "{" if changes is None else json.dumps(study | changes)
        (first.path.with_name(name) / "study.json").write_text(text)
    assert main(arguments) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said
    assert not Path("results/second").exists()


def test_the_refusal_of_growth_names_the_way_on(first: StudyFolder) -> None:
    first.final.path_of("plain-tuned", 0).mkdir(parents=True)
    for flags in (["--trials", "9"], ["--add-arch", "mobilenet"]):
        with pytest.raises(BadInput, match="begin a new study that is told its trials by --from results/first"):
            read_request(["--resume", "--name", "first", *flags])


def test_a_dry_run_says_what_would_be_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FROM, "--dry-run"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "The samplers are told 2 trials of plain from first; none of other (no trial of it has ended" in said
    assert said.endswith("The images of both studies are compared when the study begins")
    assert main([*FROM, "--max-epochs", "9", "--dry-run"]) == 2
    assert "none of its trials fits this study" in capsys.readouterr().err
    assert not Path("results/second").exists()
