"""Networks of a user's modules: how they are imported, where their code comes from, and that it travels by value."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy
import pytest
import torch
import torchvision

from models.networks.alexnet import AlexNet
from models.networks.inspection.fingerprint import difference, fingerprint
from models.networks.registry import Architecture
from models.networks.user_networks import definition_of, is_of_user, load_factory, modules_of_user, package_of

BLOCKS = '''
from torch import nn

WIDTH = 4
UNUSED = 1

def activation():
    """Returns one."""
    return nn.ReLU()

def unused():
    return 1
'''
NETS = """
import my_package.blocks as blocks
from torch import nn
from .blocks import activation as chosen

SCALE = 1.0

def scaled(logits):
    return logits * SCALE

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3072, blocks.WIDTH), chosen(), nn.Linear(4, num_classes))

    def forward(self, images):
        return scaled(self.layers(images))

def make(num_classes):
    return Net(num_classes)

def beside(num_classes):
    return None
"""


def forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_package"]:
        del sys.modules[name]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write a user's package of two modules into the current folder."""
    folder = tmp_path / "my_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("from .nets import make\n")
    (folder / "nets.py").write_text(NETS)
    (folder / "blocks.py").write_text(BLOCKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield folder
    forget()


def describe() -> dict[str, object]:
    forget()
    return fingerprint(Architecture("net", "Net", load_factory("my_package:make")), 3)


def test_a_user_s_modules_are_found_from_the_factory(package: Path) -> None:
    factory = load_factory("my_package:make")
    assert sys.path[-1] == str(package.parent), "no module of the folder comes before an installed one"
    assert definition_of(partial(factory, num_classes=3)) == ("my_package.nets", "make")
    assert sorted(module.__name__ for module in modules_of_user(partial(factory))) == [
        "my_package.blocks",
        "my_package.nets",
    ]


def test_installed_modules_and_this_project_s_are_not_the_user_s(package: Path) -> None:
    load_factory("my_package:make")
    assert {name: is_of_user(name) for name in ("my_package", "torch.nn", "json", "models.networks.layers", "sys")} == {
        "my_package": True,
        "torch.nn": False,
        "json": False,
        "models.networks.layers": False,
        "sys": False,
    }
    assert modules_of_user(AlexNet) == modules_of_user(torchvision.models.resnet18) == []
    assert package_of("torchvision.models") == f"torchvision {torchvision.__version__.partition('+')[0]}"
    assert package_of("numpy") == f"numpy {numpy.__version__}"
    assert package_of("my_package.nets") is None


@pytest.mark.slow
def test_a_package_in_a_folder_of_packages_is_installed(package: Path) -> None:
    """As `pip install --target` leaves it."""
    record = package.parent / "my_package-2.5.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 2.5\n")
    (record / "RECORD").write_text("my_package/__init__.py,,\nmy_package/nets.py,,\n")
    code = """
from models.networks.user_networks import is_of_user, load_factory, modules_of_user, package_of
print(package_of(load_factory("my_package:make").__module__), modules_of_user(load_factory("my_package:make")))
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "my-package 2.5 []\n"


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            "my_pakage:make",
            r"\(ModuleNotFoundError: .*\): start the command in the folder that holds it",
        ),
        (
            "models.mine:Net",
            "models.mine cannot be imported .*: fairverdict has a package 'models' of its own, so rename",
        ),
        ("my_package.broken:make", r"my_package.broken cannot be imported \(.* division by zero\): mend the module"),
        ("my_package.lacking:make", r"\(ModuleNotFoundError: No module named 'nowhere'\): mend the module"),
        ("my_package.program:make", r"my_package.program cannot be imported \(SystemExit: 3\): mend the module"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named_with_a_remedy(module: str, message: str, package: Path) -> None:
    (package / "broken.py").write_text("1 / 0\n")
    (package / "lacking.py").write_text("import nowhere\n")
    (package / "program.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(ValueError, match=message):
        load_factory(module)


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("nets.py", "logits * SCALE", "logits + SCALE", "the source of my_package.nets.scaled differs"),
        ("nets.py", "SCALE = 1.0", "SCALE = 2.0", "the source of my_package.nets.SCALE differs"),
        ("nets.py", "return Net(num_classes)", "return Net(num_classes).eval()", "the source of my_package.nets.make"),
        ("nets.py", "scaled(self.layers", "-scaled(self.layers", "the source of my_package.nets.Net differs"),
        ("blocks.py", "return nn.ReLU()", "return nn.ReLU(True and False)", "the source of my_package.blocks.activ"),
        ("blocks.py", "WIDTH = 4", "WIDTH = 2 + 2", "the source of my_package.blocks.WIDTH differs"),
        ("blocks.py", "Returns one", "Returns another", None),
        ("blocks.py", "UNUSED = 1", "UNUSED = 2", None),
        ("blocks.py", "    return 1", "    return 2", None),
        ("nets.py", "return None", "return 1  # not used", None),
    ],
)
def test_a_change_of_what_the_network_uses_is_named(
    package: Path, file: str, old: str, new: str, line: str | None
) -> None:
    before = describe()
    text = (package / file).read_text()
    assert old in text
    (package / file).write_text(text.replace(old, new))
    found = difference(before, describe())
    assert found is None if line is None else found is not None and found.startswith(line)


def test_several_changes_are_counted(package: Path) -> None:
    before = describe()
    (package / "nets.py").write_text(NETS.replace("SCALE", "FACTOR"))
    assert difference(before, describe()) == "the source of my_package.nets.FACTOR and 2 more differs"


def test_another_version_of_an_installed_package_and_other_given_weights_are_named() -> None:
    resnet = Architecture("net", "Net", torchvision.models.squeezenet1_1)
    before = fingerprint(resnet, 3)
    assert before["definitions"] == {} and before["package"].startswith("torchvision ")
    assert before["initial"] is None
    line = difference(before | {"package": "torchvision 0.1"}, before)
    assert line == f"it comes from {before['package']}, came from torchvision 0.1"
    older = {name: value for name, value in before.items() if name not in ("definitions", "package", "initial")}
    assert difference(older, before) is None

    def given(value: float) -> Architecture:
        def factory(num_classes: int) -> torch.nn.Module:
            network = torch.nn.Linear(2, num_classes)
            torch.nn.init.constant_(network.weight, value)
            torch.nn.init.zeros_(network.bias)
            return network

        return Architecture("net", "Net", factory, has_given_weights=True)

    one, other = (fingerprint(given(value), 3) for value in (1.0, 2.0))
    assert difference(one, other) == "its initial weights differ"
    assert difference(one, fingerprint(given(1.0), 3)) is None
