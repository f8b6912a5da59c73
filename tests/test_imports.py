"""Checks that imports point one way and in no circle, and that a study's first step waits for no import in vain."""

import ast
import functools
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("models", "analysis", "study", "benchmarks", "fairverdict")
# Rooms from the top floor down. A room imports its own files and rooms on lower floors.
FLOORS: dict[str, list[set[str]]] = {
    "study": [
        {"__main__"},
        {"export"},
        {"predict"},
        {"run", "list"},
        {"workflow", "repetition"},
        {"planning", "conclusion"},
        {"stages"},
        {"listeners"},
        {"runs", "cli"},
        {"earlier"},
        {"search"},
        {"plan", "track", "mirror"},
        {"cluster", "data"},
        {"storage"},
        {"settings"},
        {"errors", "streams"},
    ],
    "analysis": [
        {"notebook", "compare"},
        {"report"},
        {"figures"},
        {"verdict", "retraining"},
        {"statistics"},
        {"results"},
        {"collector", "command", "numbers", "paths"},
    ],
    "models": [
        {"training"},
        {"networks", "images", "onnx_network"},
        {"kernels"},
        {"augmentation", "data", "randomness", "precision"},
    ],
}
# Packages that a package may import. Within analysis only the retraining of one run needs the networks.
BELOW = {
    "models": set(),
    "analysis": set(),
    "analysis.retraining": {"models"},
    "study": {"models", "analysis"},
    "benchmarks": {"models", "analysis", "study"},
    "fairverdict": {"models", "analysis", "study"},
}


@functools.cache
def modules() -> dict[str, set[str]]:
    """Each module's imports of this project's modules."""
    found = {}
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = {target for target in _imports(path) if target.split(".")[0] in PACKAGES}
    return found


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            within = {f"{node.module}.{alias.name}" for alias in node.names}
            files = {name for name in within if (ROOT / f"{name.replace('.', '/')}.py").exists()}
            names |= files or {node.module}
    return names


def _room(module: str) -> str:
    """Return the part of a module's name that its package's floors name, such as "storage"."""
    return [*module.split("."), ""][1]


def test_packages_import_one_way() -> None:
    for name, targets in modules().items():
        package = name.split(".")[0]
        allowed = BELOW.get(f"{package}.{_room(name)}", BELOW[package]) | {package}
        assert {target.split(".")[0] for target in targets} <= allowed, name


def test_rooms_import_downwards() -> None:
    for name, targets in modules().items():
        package, room = name.split(".")[0], _room(name)
        if package not in FLOORS or not room:
            continue
        floor = next(level for level, rooms in enumerate(FLOORS[package]) if room in rooms)
        below = {room, ""}.union(*FLOORS[package][floor + 1 :])
        upwards = {target for target in targets if target.split(".")[0] == package and _room(target) not in below}
        assert not upwards, f"{name} imports {', '.join(upwards)}"


def test_every_folder_is_a_room_of_at_most_8_files() -> None:
    for folder in (
        path.parent for package in PACKAGES if package != "benchmarks" for path in (ROOT / package).rglob("__init__.py")
    ):
        files = [path.name for path in folder.iterdir() if path.is_file()]
        assert len(files) <= 8, f"{folder}: {sorted(files)}"


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = modules()
    assert len(list(TopologicalSorter(graph).static_order())) >= len(graph)
    assert "analysis.results.files" in graph["analysis.results.study_folder"]


def test_models_and_analysis_import_no_ray() -> None:
    for name in modules():
        if name.split(".")[0] in ("models", "analysis"):
            path = ROOT / name.replace(".", "/")
            source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            imported = {name for node in ast.walk(ast.parse(source.read_text())) for name in _imported(node)}
            assert "ray" not in {name.split(".")[0] for name in imported}, name


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


# Each step prints the modules that are loaded after it. A later step only adds to them.
STEPS = """
import sys
import torch
from models.data import TrainingData, stratified_split
from models.randomness import RunSeeds
from models.networks.inspection.cost import count_macs
from models.networks.registry import Architecture
from models.training.loop import TrainingRun
from models.training.recipe import TrainingConfig
from tests.builders import ToyNet, noise

images = noise(60)
data = TrainingData.from_split(images, stratified_split(images.labels, 0), 3)
toy, recipe = Architecture("toy", "Toy", ToyNet), TrainingConfig({"lr": 1e-3, "dropout": 0.1}, 2)
run, other = (TrainingRun(toy, recipe, data, RunSeeds.of(0), torch.device("cpu"), "fp32") for _ in range(2))
run.train_epoch()
other.load_state_dict(run.state_dict())
other.train_epoch()
assert count_macs(toy.build(3, recipe.values)) == 48 * 16 + 16 * 3
print(*sys.modules)

import study.runs.ray_runs
print(*sys.modules)

import study.search.trial_worker
print(*sys.modules)

import study.workflow
from study.data.digits import load_digits
load_digits()
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def loaded() -> list[set[str]]:
    """Return the modules that are loaded after each of STEPS."""
    command = [sys.executable, "-c", STEPS]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [set(line.split()) for line in printed.splitlines()]


@pytest.mark.slow
def test_no_compiler_is_imported_to_train(loaded: list[set[str]]) -> None:
    """torch's optimizers and counter of operations would import torch.compile, a third of a worker's start."""
    assert "torch.optim.adam" in loaded[0]
    assert "torch._dynamo" not in loaded[0]


@pytest.mark.slow
def test_no_tune_is_imported_to_train_a_run_after_the_search(loaded: list[set[str]]) -> None:
    assert "ray" in loaded[1]
    assert "ray.tune" not in loaded[1]
    assert "ray.tune" in loaded[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "unneeded"),
    [
        (2, {"matplotlib", "scipy", "sklearn", "torchvision", "optuna"}),
        (3, {"matplotlib", "scipy", "sklearn", "torchvision"}),
    ],
    ids=["worker", "command"],
)
def test_nothing_is_imported_that_the_first_step_does_not_need(
    step: int, unneeded: set[str], loaded: list[set[str]]
) -> None:
    packages = {module.partition(".")[0] for module in loaded[step]}
    assert {"torch", "ray"} <= packages
    assert not packages & unneeded
