"""Imports point one way, in no circle, and the first step of a study waits for none that it does not need."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("models", "study", "analysis", "benchmarks")
# What each package may import; what puts everything together may import all but the benchmarks.
ALLOWED = {
    "models": {"models"},
    "study": {"models", "study"},
    "analysis": {"models", "study", "analysis"},
    "benchmarks": {"models", "study", "analysis", "benchmarks"},
    "study.run": {"models", "study", "analysis"},
    "study.stages": {"models", "study", "analysis"},
}


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


def test_packages_import_one_way() -> None:
    for name, targets in modules().items():
        allowed = ALLOWED.get(name, ALLOWED[name.split(".")[0]])
        assert {target.split(".")[0] for target in targets} <= allowed, name
        assert "study.run" not in targets, name
        assert "study.stages" not in targets or name == "study.run", name


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = modules()
    assert len(list(TopologicalSorter(graph).static_order())) >= len(graph)
    assert "analysis.results.files" in graph["analysis.results.study_folder"]


def test_ray_stays_out_of_the_networks_and_out_of_the_report() -> None:
    graph = modules()
    reached, waiting = set(), ["analysis.report", *(name for name in graph if name.startswith("models"))]
    while waiting:
        name = waiting.pop()
        if name not in reached and name in graph:
            reached.add(name)
            waiting += graph[name]
    for name in reached:
        path = ROOT / (name.replace(".", "/") + ".py")
        if path.exists():
            assert not {target for target in _imports(path) if target.split(".")[0] == "ray"}, name


@pytest.mark.parametrize(
    ("modules", "unneeded"),
    [
        ("study.run", {"matplotlib", "scipy", "sklearn", "torchvision"}),
        ("study.search.trial_worker, study.runs.ray_runs", {"matplotlib", "scipy", "sklearn", "torchvision", "optuna"}),
    ],
    ids=["command", "worker"],
)
def test_nothing_is_imported_that_the_first_step_does_not_need(modules: str, unneeded: set[str]) -> None:
    code = f"import sys, {modules}; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = {module.partition(".")[0] for module in printed.split()}
    assert {"torch", "ray"} <= loaded
    assert not loaded & unneeded


def test_no_compiler_is_imported_to_train() -> None:
    """torch's optimizers would import torch.compile, a third of a worker's start."""
    code = """
import sys
import torch
from models.data import TrainingData, stratified_split
from models.randomness import RunSeeds
from models.networks.registry import Architecture
from models.training.loop import TrainingRun
from models.training.recipe import TrainingConfig
from tests.builders import ToyNet, noise

images = noise(60)
data = TrainingData.from_split(images, stratified_split(images.labels, 0), 3)
toy, recipe = Architecture("toy", "Toy", ToyNet, baseline_dropout=0.1), TrainingConfig({"lr": 1e-3, "dropout": 0.1}, 2)
run, other = (TrainingRun(toy, recipe, data, RunSeeds.of(0), torch.device("cpu"), "fp32") for _ in range(2))
run.train_epoch()
other.load_state_dict(run.state_dict())
other.train_epoch()
print(*sys.modules)
"""
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "torch.optim.adam" in printed
    assert "torch._dynamo" not in printed
