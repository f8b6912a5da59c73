"""The plan of a study in words, before anything is imported that takes time."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.retraining.step_time import StepTime
from study.cluster.capacity import Resources
from study.data.datasets import Sizes
from study.plan.estimate import Interval
from study.plan.forecast import laptop_advice, look_ahead
from study.plan.outline import describe_range, outline
from study.settings.config import PRESETS

ROOT = Path(__file__).parents[3]
CIFAR10 = Sizes(50_000, 10_000, 10)
CPUS = Resources(1.0, 0.0, 2)
TIMES = {"alexnet": StepTime(0.5, 0.002), "mobilenet": StepTime(0.1, 0.001)}


def test_the_plan_names_every_stage() -> None:
    *lines, machine = outline(PRESETS["full"])
    assert lines == [
        "Plan:",
        "  networks      alexnet, mobilenet",
        "  data          cifar10",
        "  search        32 trials of each network, at most 50 epochs each",
        "  confirmation  the 3 leading trials of each network again, on fresh seeds",
        "  final runs    10 seeds of each network, tuned and baseline: at most 40 runs",
    ]
    assert machine.startswith("  machine       ") and "core" in machine and "GiB of memory" in machine


def test_the_plan_of_baselines_alone_has_no_search() -> None:
    lines = outline(replace(PRESETS["full"], baseline=True, archs=("alexnet",), address="10.0.0.1:6379"))
    assert lines[3:] == [
        "  final runs    10 seeds of the network, baseline, at most 50 epochs each: 10 runs",
        "  machine       the Ray cluster at 10.0.0.1:6379",
    ]


def test_the_plan_of_looks_names_every_number_of_seeds() -> None:
    lines = outline(replace(PRESETS["full"], seeds="auto"))
    assert lines[5:7] == [
        "  final runs    5, 10 or 20 seeds of each network, tuned and baseline: at most 80 runs",
        "  looks         after 5, 10 and 20 seeds, until every pair of networks is decided",
    ]
    spans = []
    for seeds in (5, "auto", 20):
        outlook = look_ahead(replace(PRESETS["full"], seeds=seeds), CIFAR10, CPUS, TIMES)
        assert outlook is not None
        spans.append(outlook.seconds)
    assert (spans[1].low, spans[1].high) == (spans[0].low, spans[2].high)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(30, 70, "30 to 70 s"), (60, 150, "1 to 2.5 min"), (1200, 3011, "20 to 50 min"), (9000, 9001, "about 2.5 h"),
     (272_000, 1_370_000, "76 to 380 h")],
)  # fmt: skip
def test_a_range_has_one_unit_and_two_digits(low: float, high: float, words: str) -> None:
    assert describe_range(Interval(low, high)) == words


def test_on_cpus_alone_the_full_preset_names_the_laptop_preset() -> None:
    outlook = look_ahead(PRESETS["full"], CIFAR10, CPUS, TIMES)
    assert outlook is not None
    line = laptop_advice(PRESETS["full"], CPUS, TIMES, outlook)
    assert line is not None
    assert line.startswith("On CPUs alone the full preset takes ")
    assert "h; `--preset laptop` takes " in line and line.endswith(" min.")
    assert laptop_advice(PRESETS["full"], Resources(1.0, 0.25, 4), TIMES, outlook) is None
    assert laptop_advice(replace(PRESETS["full"], budget_hours=9.0), CPUS, TIMES, outlook) is None
    short = look_ahead(PRESETS["laptop"], replace(CIFAR10, train=5000), CPUS, TIMES)
    assert short is not None
    assert laptop_advice(PRESETS["laptop"], CPUS, TIMES, short) is None
    assert short.seconds.high < outlook.seconds.low


def test_a_network_without_a_step_time_has_no_estimate() -> None:
    assert look_ahead(PRESETS["full"], CIFAR10, CPUS, {"alexnet": TIMES["alexnet"]}) is None


def test_the_plan_is_printed_before_torch_and_ray_are_imported(tmp_path: Path) -> None:
    stubs, cwd = tmp_path / "stubs", tmp_path / "cwd"
    cwd.mkdir()
    stubs.mkdir()
    for module in ("torch", "ray"):
        (stubs / f"{module}.py").write_text("raise SystemExit('the slow imports begin')\n")
    path = f"import sys; sys.path[:0] = [{str(stubs)!r}, {str(ROOT)!r}]"
    done = subprocess.run(
        [sys.executable, "-c", f"{path}\nfrom study.run import main\nmain([])"],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": ""},
    )
    assert done.stderr == "the slow imports begin\n"
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        *("Plan:", "networks", "data", "search", "confirmation", "final", "machine"),
    ]
