"""Data sets of torchvision by name, from archives that the test makes and serves itself."""

import gzip
import hashlib
import pickle
import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from torchvision.datasets import CIFAR100, SVHN, FashionMNIST

from study.data import datasets
from study.data.named import torchvision_sets
from study.errors import BadInput
from study.settings.config import StudyConfig
from tests.pace import within

RNG = np.random.default_rng(0)
GREY = {"train": RNG.integers(0, 256, (20, 28, 28), dtype=np.uint8), "t10k": np.zeros((10, 28, 28), np.uint8)}


def _idx(array: np.ndarray) -> bytes:
    """An array as Fashion-MNIST's authors store it."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Serves a small Fashion-MNIST, and yields the list of requests."""
    files = {}
    for part, images in GREY.items():
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(_idx(images))
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(_idx((np.arange(len(images)) % 10).astype(np.uint8)))
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            body = files[self.path.removeprefix("/")]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        monkeypatch.setattr(FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        monkeypatch.setattr(FashionMNIST, "resources", [(name, _md5(body)) for name, body in files.items()])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield requests
        finally:
            server.shutdown()
            thread.join()


def _config(name: str, folder: Path | None = None) -> StudyConfig:
    return StudyConfig(dataset=f"torchvision:{name}", data_dir=folder)


def test_a_data_set_is_downloaded_once(served: list[str]) -> None:
    data = datasets.read(_config("FashionMNIST"))
    assert (data.title, data.classes[0], len(data.train), len(data.test)) == ("FashionMNIST", "T-shirt/top", 20, 10)
    assert data.train.labels.tolist() == [*range(10)] * 2
    assert (data.train.images == data.train.images[..., :1]).all()
    assert served
    served.clear()
    assert datasets.read(_config("fashionmnist")).fingerprint() == data.fingerprint()
    assert not served
    assert datasets.sizes(_config("FashionMNIST")) == datasets.Sizes(60_000, 10_000, 10)


def test_published_data_sets_stay_as_published(served: list[str]) -> None:
    assert len(datasets.read(_config("FashionMNIST")).test) == 10, "all ten test images are equal, and stay"


def test_a_wrong_checksum_is_refused_in_one_line(
    served: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FashionMNIST, "resources", [(name, "0" * 32) for name, _ in FashionMNIST.resources])
    with pytest.raises(BadInput, match=r"FashionMNIST cannot be read from .* or downloaded there ") as caught:
        datasets.read(_config("FashionMNIST", tmp_path))
    assert "\n" not in str(caught.value)


def test_without_a_network_the_remedies_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    with within(torchvision_sets.STALL_SECONDS), pytest.raises(BadInput, match="refused") as caught:
        datasets.read(_config("FashionMNIST", tmp_path))
    for remedy in ("--data-dir DIR", "--dataset folder", "--dataset digits"):
        assert remedy in str(caught.value)


def test_a_silent_server_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_sets, "STALL_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.getsockname()[1]}/"])
        with within(5), pytest.raises(BadInput, match="timed out"):
            datasets.read(_config("FashionMNIST", tmp_path))


def test_svhn_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = RNG.integers(0, 256, (32, 32, 3, 10), dtype=np.uint8)
    listed = {}
    for part in ("train", "test"):
        path = tmp_path / f"{part}_32x32.mat"
        scipy.io.savemat(path, {"X": images, "y": np.arange(1, 11, dtype=np.uint8).reshape(10, 1)})
        listed[part] = ["", path.name, _md5(path.read_bytes())]
    monkeypatch.setattr(SVHN, "split_list", listed)
    data = datasets.read(_config("SVHN", tmp_path))
    assert data.classes == tuple("0123456789")
    assert data.train.labels.tolist() == [*range(1, 10), 0]
    np.testing.assert_array_equal(data.train.images, images.transpose(3, 0, 1, 2))


def test_cifar100_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / CIFAR100.base_folder
    folder.mkdir()
    images = RNG.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    rows = images.transpose(0, 3, 1, 2).reshape(4, -1)
    names = [f"class {number}" for number in range(4)]
    contents = {
        "train": {"data": rows, "fine_labels": [0, 1, 2, 3]},
        "test": {"data": rows[::-1], "fine_labels": [3, 2, 1, 0]},
        "meta": {"fine_label_names": names},
    }
    for name, content in contents.items():
        (folder / name).write_bytes(pickle.dumps(content))
    sums = {name: _md5((folder / name).read_bytes()) for name in contents}
    monkeypatch.setattr(CIFAR100, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", sums["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", {**CIFAR100.meta, "md5": sums["meta"]})
    data = datasets.read(_config("CIFAR100", tmp_path))
    assert data.classes == tuple(names)
    np.testing.assert_array_equal(data.train.images, images)
    np.testing.assert_array_equal(data.test.images, images[::-1])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("FashionMNST", "there is no data set of torchvision 'FashionMNST': did you mean FashionMNIST?"),
        ("ImageNet", "there is no data set of torchvision 'ImageNet': choose from MNIST, FashionMNIST"),
        ("CIFAR10", "is --dataset cifar10 here: pass that"),
    ],
)
def test_unknown_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        datasets.check(_config(name))
    assert message in str(caught.value)
