"""Arrays of a user's own: an .npz file, or what a function returns."""

import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.images import read_image
from study.data import datasets
from study.data.named.own_function import call_function
from study.errors import BadInput
from study.run import main
from study.settings.config import StudyConfig

RNG = np.random.default_rng(0)


def _arrays(**others: Any) -> dict[str, Any]:
    """Three classes with ten images in train and four in test, as Keras has CIFAR-10."""
    made = {
        "x_train": RNG.integers(0, 256, (30, 32, 32, 3), dtype=np.uint8),
        "y_train": np.arange(30).reshape(30, 1) % 3,
        "x_test": RNG.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8),
        "y_test": np.arange(12).reshape(12, 1) % 3,
    }
    return {**made, **others}


def _npz(path: Path, arrays: dict[str, Any]) -> StudyConfig:
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return StudyConfig(dataset="folder", data_dir=path)


def test_an_npz_file_is_read_as_it_is(tmp_path: Path) -> None:
    arrays = _arrays(classes=np.array(["cat", "dog", "猫"]))
    config = _npz(tmp_path / "mine.npz", arrays)
    data = datasets.read(config)
    assert (data.title, data.classes) == ("mine", ("cat", "dog", "猫"))
    np.testing.assert_array_equal(data.train.images, arrays["x_train"])
    assert data.test.labels.tolist() == [0, 1, 2] * 4
    assert datasets.sizes(config) == datasets.Sizes(30, 12, 3)


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1)])
def test_grey_images_of_other_sizes_are_scaled(tmp_path: Path, shape: tuple[int, ...]) -> None:
    grey = np.zeros((30, *shape), np.uint8)
    grey += (RNG.integers(0, 256, (30, 4, 4), dtype=np.uint8).repeat(7, 1).repeat(7, 2)).reshape(grey.shape)
    data = datasets.read(_npz(tmp_path / "mine.npz", _arrays(x_train=grey)))
    assert data.classes == ("0", "1", "2")
    assert (data.train.images == data.train.images[..., :1]).all()
    assert data.train.images[:, 2, 2, 0].tolist() == grey.reshape(30, 28, 28)[:, 1, 1].tolist()


def test_arrays_are_scaled_as_files_are(tmp_path: Path) -> None:
    large = RNG.integers(0, 256, (30, 60, 40, 3), dtype=np.uint8)
    config = replace(_npz(tmp_path / "mine.npz", _arrays(x_train=large)), image_size=24)
    data = datasets.read(config)
    Image.fromarray(large[5]).save(tmp_path / "5.png")
    np.testing.assert_array_equal(data.train.images[5], read_image(tmp_path / "5.png", image_size=24))
    assert data.test.images.shape == (12, 24, 24, 3)


def test_repeated_pictures_in_arrays_are_found(tmp_path: Path) -> None:
    arrays = _arrays()
    arrays["x_train"][4] = arrays["x_test"][1]
    data = datasets.read(_npz(tmp_path / "mine.npz", arrays))
    assert len(data.train) == 29
    assert data.findings.repeats == (("train and test", "train image 4", "test image 1", "equal"),)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x_test": None}, "has no array x_test: it needs x_train, y_train, x_test, y_test, and has"),
        ({"x_train": np.zeros((30, 32, 32, 3))}, r"x_train of .* is float64 \(30, 32, 32, 3\): give uint8"),
        ({"x_train": np.zeros((30, 3, 32, 32), np.uint8)}, r"x_train of .* is uint8 \(30, 3, 32, 32\): give uint8"),
        ({"y_train": np.zeros(7, np.int64)}, r"y_train of .* is int64 \(7,\): give a whole number for each of the 30"),
        ({"y_train": np.zeros((30, 3))}, r"y_train of .* is float64"),
        ({"y_test": np.zeros(12, np.int64)}, "y_test of .* has no image of the class '1'"),
        ({"y_train": np.arange(30) % 3 - 1}, "labels of .* are -1 to 2: give 0 to"),
        ({"classes": np.array(["a", "b"])}, "labels of .* are 0 to 2: give 0 to 1"),
        ({"classes": np.array(["a", "b", "A"])}, "'a' and 'A' differ only in case"),
        ({"x_train": np.array([None] * 30)}, "cannot be read as arrays .Object arrays cannot be loaded"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        datasets.read(_npz(tmp_path / "mine.npz", _arrays(**changed)))


def test_a_damaged_npz_file_is_refused(tmp_path: Path) -> None:
    config = _npz(tmp_path / "mine.npz", _arrays())
    path = tmp_path / "mine.npz"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(BadInput, match=r"mine\.npz' cannot be read as arrays"):
        datasets.read(config)


# --- a function


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of a module in the current folder. Each test has its own, because Python imports a name once."""
    name = f"own_data_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(
        textwrap.dedent("""
            import numpy as np
            CALLS = []

            def pets():
                CALLS.append(1)
                rng = np.random.default_rng(0)
                images = [rng.integers(0, 256, (n, 20, 30, 3), dtype=np.uint8) for n in (20, 8)]
                return images[0], np.arange(20) % 2, images[1], np.arange(8) % 2

            def named():
                return dict(zip(("x_train", "y_train", "x_test", "y_test"), pets()), classes=["cat", "dog"])

            def less():
                return {"x_train": pets()[0]}

            def fails():
                raise RuntimeError("the server is away\\nfor today")

            def number():
                return 7
            """)
    )
    monkeypatch.chdir(tmp_path)
    call_function.cache_clear()
    return name


def test_a_function_gives_the_data_and_is_called_once(module: str) -> None:
    config = StudyConfig(dataset=f"{module}:pets")
    assert datasets.sizes(config) == datasets.Sizes(20, 8, 2)
    data = datasets.load_dataset(config)
    assert (data.title, data.classes, data.train.images.shape) == ("pets", ("0", "1"), (20, 32, 32, 3))
    assert datasets.read(StudyConfig(dataset=f"{module}:named")).classes == ("cat", "dog")
    assert len(__import__(module).CALLS) == 2


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("missing", "has no function 'missing': check its name"),
        ("CALLS", "has no function 'CALLS': check its name"),
        ("fails", r"failed \(RuntimeError: the server is away for today\): mend it"),
        ("number", "returned int: return the arrays x_train, y_train, x_test, y_test"),
        ("less", "gives no y_train: it must give x_train, y_train, x_test, y_test"),
    ],
)
def test_functions_that_give_no_data_are_refused(module: str, function: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        datasets.read(StudyConfig(dataset=f"{module}:{function}"))


def test_bad_names_end_the_command_with_one_line(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dataset", "no_such.module:function"]) == 2
    error = capsys.readouterr().err
    assert "the module 'no_such.module' cannot be imported (ModuleNotFoundError: No module named 'no_such')" in error
    assert error.count("\n") == 1
    assert main(["--dataset", f"{module}:pets", "--data-dir", "."]) == 2
    assert "is a function and takes no --data-dir: leave it out" in capsys.readouterr().err
