"""The short forms of the benchmarks run, and their rows hold what they must."""

import json
import os
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import Queue
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from joblib import cpu_count
from scipy import stats

from benchmarks import (
    agreement,
    calibration,
    choice,
    concurrency,
    convolutions,
    field_rules,
    importance,
    limits,
    operations,
    overhead,
    patience,
    recipes,
    scale,
    throughput,
)
from benchmarks.calibration import SETTINGS, FewErrors, ProbitModel, Seeds, Setting
from benchmarks.processes import processes, workers
from models.networks.registry import ARCHITECTURES
from models.training.recipe import CONSTANTS, TrainingConfig
from study.cluster.environment import ALLOCATION
from tests.builders import epoch
from tests.in_process import run_here
from tests.processes import HANGS_AFTER


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """Let no benchmark change the number of torch's threads for later tests."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_every_rule_of_choice_loses_something(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert choice.main(["--quick", "--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    cells = [(row["trials"], row["confirm"], row["rule"]) for row in rows]
    assert cells == [(8, confirm, rule) for confirm in choice.CONFIRMED for rule in choice.RULES]
    for row in rows:
        assert row["searches"] == 4 * len(ARCHITECTURES)
        assert 0 <= row["lost"] <= 20
    assert "9 in 10 lose at most" in capsys.readouterr().out


@pytest.mark.slow
def test_calibration_counts_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibration.main(["--quick", "--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert {row["setting"] for row in rows} == {setting.name for setting in SETTINGS}
    assert {row["studies"] for row in rows} == {20}
    for row in rows:
        if row["seeds"] == 3:
            assert row["right"] == row["wrong"] == row["equivalent"] == 0
        if row["difference"] == 0:
            assert row["right"] == 0
        assert row["difference_covered"] >= (0 if row["setting"] == "A's runs collapse" else 15)
    (easy,) = (row for row in rows if (row["setting"], row["seeds"], row["difference"]) == ("CIFAR-like", 5, 0.02))
    assert easy["right"] >= 18
    assert "CIFAR-like" in capsys.readouterr().out


@pytest.mark.slow
def test_importance_of_known_functions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert importance.main(["--quick", "--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["function"], row["trials"]) for row in rows] == [("two that interact", 16), ("four", 16)]
    assert all(row["held"] >= 0.6 and 0 < row["width"] <= 1 and row["error"] < 0.4 for row in rows)
    assert "two that interact" in capsys.readouterr().out


@pytest.mark.slow
def test_patience_compares_steps_of_grace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert patience.main(["--quick", "--json", str(tmp_path / "runs.json")]) == 0
    runs = json.loads((tmp_path / "runs.json").read_text())
    assert [(run["seed"], len(run["history"]), len(run["kept"])) for run in runs] == [(0, 2, 2), (1, 2, 2)]
    assert "2 steps an epoch" in capsys.readouterr().out


def test_patience_ends_a_recorded_run_as_the_rule_does() -> None:
    rows = [epoch(number, loss) for number, loss in enumerate((1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.5, 0.4), start=1)]
    config = TrainingConfig({"lr": 0.01}, max_epochs=20, patience=5)
    ends = [patience.last_epoch(rows, replace(config, grace_steps=grace), 4) for grace in (0, 24, 25, 60)]
    assert ends == [6, 6, 8, 8]


@pytest.fixture
def one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a benchmark train with one thread, because further ones would wait for other tests."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})


PROBIT = [setting for setting in SETTINGS if isinstance(setting, Setting) and setting.seeds_of_a == "normal"]


@pytest.mark.parametrize("setting", PROBIT, ids=lambda setting: setting.name)
def test_the_simulated_networks_have_the_moments_they_state(setting: Setting) -> None:
    model = ProbitModel.of(setting, difference=0.0)
    a, b = model.sample(20, 100_000, np.random.default_rng(0))
    assert a.mean() == pytest.approx(setting.accuracy, abs=4 * setting.seed_sd / 20**0.5 + 0.002)
    assert a.mean(axis=1).std(ddof=1) == pytest.approx(setting.seed_sd, rel=0.6)
    chances = a[:10].mean(axis=0) - b[:10].mean(axis=0), a[10:].mean(axis=0) - b[10:].mean(axis=0)
    # Two halves of the seeds share only the effects of the images, so their covariance is the variance of these.
    assert np.cov(*chances)[0, 1] ** 0.5 == pytest.approx(setting.image_sd, rel=0.1)


@pytest.mark.parametrize("seeds", ["skewed", "collapsing"])
def test_seeds_that_are_not_normal_leave_the_networks_equal_in_expectation(seeds: Seeds) -> None:
    setting = Setting("a", 2_000, 0.75, 0.015, 0.35, 0.6, 1, seeds)
    a, b = (
        correct.mean(axis=1) for correct in ProbitModel.of(setting, 0.0).sample(2_000, 2_000, np.random.default_rng(0))
    )
    assert a.mean() - b.mean() == pytest.approx(0, abs=0.02)
    assert (a < 0.2).mean() == pytest.approx(0.1 if seeds == "collapsing" else 0, abs=0.02)
    assert stats.skew(a) < -1
    assert abs(stats.skew(b)) < 0.2
    assert b.std() < 0.02


def test_a_network_of_few_errors_is_behind_by_the_difference() -> None:
    model = FewErrors("few", 100_000, chance=0.9, studies=1).model(0.02)
    assert model is not None
    a, b = model.sample(10, 100_000, np.random.default_rng(0))
    assert a.all()
    assert model.accuracy == 0.98
    assert b.mean() == pytest.approx(0.98, abs=0.002)
    assert (~b).any(axis=0).mean() == pytest.approx(0.02 / 0.9, abs=0.002)


@pytest.mark.slow
@pytest.mark.usefixtures("one_processor")
def test_agreement_compares_both_loops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.json"
    assert agreement.main(["--train-size", "100", "--epochs", "1", "--seeds", "1", "--json", str(rows)]) == 0
    assert [row["arch"] for row in json.loads(rows.read_text())] == ["alexnet", "mobilenet"]
    assert "plain fp32 loop" in capsys.readouterr().out


@pytest.mark.slow
def test_recipes_are_trained_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.json"
    assert recipes.main(["--quick", "--json", str(rows)]) == 0
    trained = {(row["arch"], row["recipe"]): row["epochs"] for row in json.loads(rows.read_text())}
    assert trained == {(arch, recipe): 1 for arch in ARCHITECTURES for recipe in recipes.RECIPES}
    assert "gain (each seed)" in capsys.readouterr().out


def test_the_classic_recipe_is_a_recipe_of_every_network() -> None:
    told = tomllib.loads(recipes.CLASSIC.read_text())
    assert told["recipe"].keys() <= set(CONSTANTS)
    for arch in ARCHITECTURES:
        config = recipes.recipe_of("classic", arch, told, epochs=50)
        assert (config.optimizer, config.schedule, config.augment) == ("sgd", "cosine", "flip_crop")
        for name, value in config.values.items():
            assert told["space"][name]["low"] <= value <= told["space"][name]["high"]


@pytest.mark.slow
def test_throughput_times_every_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.json"
    monkeypatch.setattr(limits, "MATRIX_SIDE", 1024)
    assert throughput.main(["--quick", "--threads", "1", "--json", str(rows)]) == 0
    measured = {(row["arch"], row["side"]): row["seconds"] for row in json.loads(rows.read_text())}
    assert set(measured) == {(arch, side) for arch in ARCHITECTURES for side in (*throughput.SIDES, "the limit")}
    for arch in ARCHITECTURES:
        # Twice as long, because the sides take turns on a machine that runs other tests, too.
        assert 0 < measured[arch, "the limit"] < 2 * measured[arch, "this project"]
    assert "plain PyTorch" in capsys.readouterr().out


def test_the_process_of_this_project_alone_keeps_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ALLOCATION.items():
        monkeypatch.setenv(name, value)
    with processes(("this project", "another"), keeps_memory="this project") as pools:
        found = {side: [pool.submit(os.getenv, name).result() for name in ALLOCATION] for side, pool in pools.items()}
        numbers = {os.getpid(), *(pool.submit(os.getpid).result() for pool in pools.values())}
    assert found == {"this project": [*ALLOCATION.values()], "another": [None] * len(ALLOCATION)}
    assert len(numbers) == 3, "each has a process"
    assert {name: os.environ[name] for name in ALLOCATION} == ALLOCATION


def test_tasks_are_done_in_other_processes_unless_there_is_to_be_one() -> None:
    for number in (1, 2):
        with workers(number) as pool:
            assert (pool.submit(os.getpid).result() == os.getpid()) == (number == 1)
            with pytest.raises(ZeroDivisionError):
                pool.submit(divmod, 1, 0).result()
            given = [3, 1]
            assert pool.submit(sorted, given).result() == [1, 3]
            pool.submit(list.sort, given).result()
            assert given == [3, 1], "a task has a copy"


@pytest.mark.slow
def test_the_rules_of_the_field_call_equal_networks_better_more_often(tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    assert field_rules.main(["--studies", "30", "--json", str(rows)]) == 0
    wrong: Counter[str] = Counter()
    for row in json.loads(rows.read_text()):
        assert 0 <= row["wrong"] <= row["studies"] and row["right"] + row["wrong"] <= row["studies"]
        wrong[row["rule"]] += row["wrong"] * (row["difference"] == 0)
    assert set(wrong) == set(field_rules.RULES)
    assert wrong["this project"] < min(count for rule, count in wrong.items() if rule != "this project")


@pytest.mark.parametrize(
    ("ours", "theirs", "calls"),
    [
        ([90, 91, 92, 93, 94], [80, 81, 82, 83, 84], (1, 1)),
        ([80, 81, 82, 83, 84], [90, 91, 92, 93, 94], (-1, -1)),
        ([90, 91, 92, 93, 94], [90, 91, 92, 93, 94], (0, 0)),
        # 5 of 23 parts of the squared distance speak against ours, but the upper bound is above 0.5.
        ([88, 90, 92, 96, 98], [90, 91, 92, 93, 95], (0, 0)),
        ([92, 93, 94, 95, 96], [91, 92, 93, 94, 95], (1, 0)),
    ],
)
def test_almost_stochastic_order_is_called_by_its_upper_bound(
    ours: list[int], theirs: list[int], calls: tuple[int, int]
) -> None:
    a, b = (np.arange(100) < np.array(rights)[:, None] for rights in (ours, theirs))
    rules = ("almost stochastic, 0.5", "almost stochastic, 0.2")
    assert tuple(field_rules.RULES[rule](a, b, np.random.default_rng(0)) for rule in rules) == calls


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-5), ("bf16", 0.01)])
def test_convolutions_are_timed_and_right(precision: str, most: float, tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    assert convolutions.main(["--quick", "--threads", "1", "--precision", precision, "--json", str(rows)]) == 0
    measured = json.loads(rows.read_text())
    assert [row["layer"] for row in measured] == list(convolutions.LAYERS)
    for row in measured:
        for way in ("torch", "ours"):
            assert all(row[f"{way}_{name}_ms"] > 0 for name in convolutions.PASSES)
            assert all(0 < row[f"{way}_{what}_error"] < most for what in ("output", "gradient"))
        if precision == "bf16":
            assert row["ours_gradient_error"] <= 1.1 * row["torch_gradient_error"]
        else:
            # The results are not torch's to the bit, so the layer did take this project's code.
            assert row["ours_output_error"] != row["torch_output_error"]


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_operations_account_for_a_step(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "BATCH_SIZE", 32)
    parts = operations.measure(arch, threads=1, steps=1, rounds=3)
    assert all(milliseconds > 0 for milliseconds in parts.values())
    assert parts.keys() >= {"convolutions", "batch normalisation, ReLU and pool in one", "Adam", operations.REST}
    assert parts[operations.REST] + parts[operations.OTHER] < 0.5 * sum(parts.values())


def test_the_limits_count_what_a_step_must_do() -> None:
    first = 64 * 27 * 32 * 32
    convolutions = first + 192 * 64 * 9 * 16**2 + (384 * 192 + 256 * 384) * 9 * 8**2
    forward = convolutions + 4096 * 1024 + 1024 * 512 + 512 * 10
    # The backward pass has twice as many, except for the first layer's input.
    assert limits.flops("alexnet", has_winograd=False) == 2 * 128 * (3 * forward - first)
    # Three of the convolutions multiply a quarter as often.
    less = (convolutions - first) * 3 // 4
    assert limits.flops("alexnet", has_winograd=True) == 2 * 128 * (3 * (forward - less) - first)
    assert limits.flops("mobilenet", has_winograd=True) == limits.flops("mobilenet", has_winograd=False)
    # Convolutions: 35 + 64 + 96 + 32 + 48 thousand values read and written (the first twice, others three times), each
    # output eight times over in batch normalisation, three of them after the max pool, and the global pool.
    k = 1024
    outputs = (32 + 32 + 64) * k + (64 + 128) * k // 4
    convolutions = 2 * 35 * k + 3 * ((64 + 96) * k + (128 + 192) * k // 4)
    less, pool = 3 * (64 * k - 64 * k // 4), 2 * (128 * k // 4 + 128)
    assert limits.bytes_moved("mobilenet", "bf16") == 2 * 128 * (convolutions + 8 * outputs - less + pool)
    assert limits.bytes_moved("mobilenet", "fp32") == 2 * limits.bytes_moved("mobilenet", "bf16")


@pytest.mark.slow
def test_concurrency_times_every_division(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.json"
    assert concurrency.main(["--quick", "--json", str(rows)]) == 0
    measured = json.loads(rows.read_text())
    divisions = {(row["runs"], row["threads"]) for row in measured}
    assert (1, 1) in divisions and 1 <= len(divisions) <= 2
    assert {row["arch"] for row in measured} == set(ARCHITECTURES)
    assert all(runs * threads <= cpu_count() * 8 for runs, threads in divisions)
    assert all(row["seconds"] > 0 and row["memory_mib"] > 50 for row in measured)
    assert "(automatic)" in capsys.readouterr().out


class _Started:
    """Stands for a study's process, while the test itself runs the study.

    Attributes:
        asked: takes the command's arguments.
        ended: is set when the study has ended.
    """

    asked: "Queue[list[str]]" = Queue()
    ended = Event()
    returncode = 0

    def __init__(self, command: Sequence[str], **_: object) -> None:
        assert tuple(command[:3]) == (sys.executable, "-m", "study.run")
        self.asked.put([*command[3:]])

    def __enter__(self) -> "_Started":
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.clear()

    def poll(self) -> int | None:
        return 0 if self.ended.is_set() else None

    def communicate(self) -> tuple[str, None]:
        self.ended.wait()
        return "", None


@pytest.mark.slow
def test_overhead_accounts_for_the_whole_of_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(overhead, "subprocess", SimpleNamespace(Popen=_Started, PIPE=None, STDOUT=None))
    monkeypatch.setattr(overhead, "QUICK_STUDY", overhead.QUICK_STUDY.replace("mobilenet", "tiny"))
    target = tmp_path / "rows.json"
    with ThreadPoolExecutor(1) as pool:
        status = pool.submit(overhead.main, ["--quick", "--json", str(target)])
        arguments = _Started.asked.get(timeout=HANGS_AFTER)
        try:
            done = run_here(arguments, tmp_path)
        finally:
            _Started.ended.set()
        assert (done.returncode, status.result()) == (0, 0), done.stderr
    *stages, whole = json.loads(target.read_text())
    assert [row["stage"] for row in stages] == [
        *("imports, data, Ray", "first workers", "search", "confirmation", "final runs", "latency", "report"),
    ]
    assert all(row["seconds"] > 0 for row in stages)
    assert whole["seconds"] == pytest.approx(sum(row["seconds"] for row in stages))
    for row in stages:
        is_training = row["stage"] in ("search", "confirmation", "final runs")
        assert (0 < row["pass_share"] < row["training_share"]) if is_training else row["training_seconds"] == 0
    assert 0 < whole["pass_share"] < whole["training_share"] < 1
    assert "From the command to the first training step" in capsys.readouterr().out


@pytest.fixture
def _scale_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Let `scale` measure its rows in this process, which has imported torch and Ray already."""

    def here(command: Sequence[str], **_: object) -> "subprocess.CompletedProcess[str]":
        python, m, module, *arguments = command
        assert (python, m, module) == (sys.executable, "-m", "benchmarks.scale")
        assert scale.main(arguments) == 0
        return subprocess.CompletedProcess(command, 0, capsys.readouterr().out)

    monkeypatch.setattr(scale, "subprocess", SimpleNamespace(run=here, PIPE=None))


@pytest.mark.slow
def test_scale_has_a_row_a_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scale.main(["--quick", "--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["trials"] for row in rows] == [6]
    for row in rows:
        assert row["driver_cpu_seconds_per_trial"] > 0
        assert 0 < row["driver_seconds_per_trial"] < 30
        assert 50 < row["peak_memory_mb"] < 8000
        assert 0 < row["folder_mb"] < 50
    assert "trials at a time" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("_scale_here")
def test_scale_has_a_row_a_number_of_trials_at_a_time(tmp_path: Path) -> None:
    assert scale.main(["--quick", "--at-a-time", "2", "4", "--trials", "8", "--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["trials"], row["at_a_time"]) for row in rows] == [(8, 2), (8, 4)]
    for row in rows:
        assert row["proposals_per_second"] > 0 and row["epochs_per_second"] > 0
        assert row["driver_cpu_seconds_per_trial"] > 0 and row["peak_memory_mb"] > 100


def test_scale_takes_more_trials_than_run_at_a_time() -> None:
    with pytest.raises(SystemExit):
        scale.main(["--at-a-time", "4", "400", "--trials", "400"])


def test_scale_takes_sizes_that_both_networks_can_share() -> None:
    for odd in ("3", "0", "-2"):
        with pytest.raises(SystemExit):
            scale.main(["--trials", odd])
