"""The data sets by name. Downloads go to servers on the loopback interface, with time limits cut short."""

import contextlib
import hashlib
import io
import pickle
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torchvision.datasets import CIFAR10

from models.data import Dataset
from models.images import read_image
from study.data import cifar10, datasets
from study.errors import BadInput
from study.settings.config import StudyConfig
from study.storage.lock import exclusive
from tests.pace import within

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
IMAGES_PER_BATCH = 2


@pytest.fixture(autouse=True)
def user_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fairverdict"


# --- what is refused before anything is read


@pytest.mark.parametrize(
    ("name", "folder", "message"),
    [
        ("cifar100", None, "there is no data set 'cifar100': did you mean cifar10?"),
        ("digits", "", "takes no --data-dir"),
        ("folder", None, "needs --data-dir PATH"),
        ("folder", "", "there is no folder '.*train'"),
        ("folder", "missing", "there is no folder '.*missing'"),
        ("folder", "file", "there is no folder '.*file'"),
        ("cifar10", "missing", "there is no folder '.*missing'"),
        ("cifar10", "file", "there is no folder '.*file'"),
    ],
)
def test_bad_choices(name: str, folder: str | None, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    data_dir = None if folder is None else tmp_path / folder
    with pytest.raises(BadInput, match=message):
        datasets.check(StudyConfig(dataset=name, data_dir=data_dir))
    with pytest.raises(BadInput, match=message):
        datasets.load(name, data_dir)


# --- digits


def test_digits_are_the_bundled_images_enlarged() -> None:
    digits = datasets.load("digits", None)
    assert digits.title == "digits (scikit-learn)"
    assert digits.classes == tuple("0123456789")
    original = load_digits()
    assert len(digits.train) + len(digits.test) == len(original.images)
    images = np.concatenate([digits.train.images, digits.test.images])
    assert (images.min(), images.max()) == (0, 255)
    assert (images == images[..., :1]).all()
    # Pixel centres of the enlarged image, in pixels of the original, and how much each original row weighs there.
    centres = np.clip((np.arange(32) + 0.5) / 4 - 0.5, 0, 7)
    weights = np.maximum(0, 1 - np.abs(centres[:, np.newaxis] - np.arange(8)))
    expected = weights @ original.images @ weights.T * 255 / 16
    for image, label in zip(digits.test.images[:50], digits.test.labels[:50], strict=True):
        errors = np.abs(expected - image[..., 0]).max(axis=(1, 2))
        assert errors.min() < 2
        assert original.target[errors.argmin()] == label


def test_the_test_set_of_the_digits_is_the_one_that_scikit_learn_chooses() -> None:
    digits, original = datasets.read(StudyConfig(dataset="digits", image_size=8)), load_digits()
    pixels = np.round(original.images * (255 / 16)).astype(np.uint8)
    positions = np.arange(len(pixels))
    for part, chosen in zip(
        (digits.train, digits.test),
        train_test_split(positions, test_size=360, stratify=original.target, random_state=0),
        strict=True,
    ):
        chosen.sort()
        np.testing.assert_array_equal(part.labels, original.target[chosen])
        for channel in range(3):
            np.testing.assert_array_equal(part.images[..., channel], pixels[chosen])


@pytest.mark.parametrize("size", [8, 48])
def test_digits_of_another_size(size: int) -> None:
    digits, usual = datasets.read(StudyConfig(dataset="digits", image_size=size)), datasets.load("digits", None)
    assert digits.train.images.shape == (1437, size, size, 3)
    assert digits.train.labels.tolist() == usual.train.labels.tolist()
    np.testing.assert_allclose(
        digits.train.images.mean(axis=(1, 2, 3)), usual.train.images.mean(axis=(1, 2, 3)), atol=3
    )


def test_digits_test_set_is_a_fixed_stratified_fifth() -> None:
    first = datasets.load("digits", None)
    np.random.seed(1)
    assert datasets.load("digits", None).fingerprint() == first.fingerprint()
    assert len(first.test) == 360
    counts = np.bincount(first.test.labels), np.bincount(load_digits().target) / 5
    assert np.abs(counts[0] - counts[1]).max() < 1
    rows = {image.tobytes() for image in first.train.images}
    assert not any(image.tobytes() in rows for image in first.test.images)


# --- cifar10


def _like_python_2(value: object) -> bytes:
    """Pickles as the authors of CIFAR-10 did: their dtypes have integers where numpy now wants booleans."""
    return pickle.dumps(value, protocol=2).replace(b"\x89\x88\x87", b"K\x00K\x01\x87")


def _files() -> tuple[dict[str, bytes], np.ndarray, np.ndarray]:
    """A tiny data set in CIFAR-10's files, with its images [12, 32, 32, 3] and labels [12]."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 128, (6 * IMAGES_PER_BATCH, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, 10, len(images))
    contents = {"batches.meta": _like_python_2({"label_names": CLASSES})}
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        batch = slice(number * IMAGES_PER_BATCH, (number + 1) * IMAGES_PER_BATCH)
        rows = images[batch].transpose(0, 3, 1, 2).reshape(IMAGES_PER_BATCH, -1)
        contents[name] = _like_python_2({"data": rows, "labels": labels[batch].tolist()})
    return contents, images, labels


FILES, IMAGES, LABELS = _files()


def _archive() -> bytes:
    buffer = io.BytesIO()
    # Uncompressed contents keep the archive large enough to arrive in several pieces, each larger than a file's buffer.
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=0) as archive:
        for name, content in {**FILES, "padding": bytes(2_000_000)}.items():
            member = tarfile.TarInfo(f"{CIFAR10.base_folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = _archive()


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def tiny_cifar10(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has torchvision expect the tiny files, at an address where nothing answers."""
    for attribute in ("train_list", "test_list"):
        expected = [[name, _md5(FILES[name])] for name, _ in getattr(CIFAR10, attribute)]
        monkeypatch.setattr(CIFAR10, attribute, expected)
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": _md5(FILES["batches.meta"])})
    monkeypatch.setattr(CIFAR10, "tgz_md5", _md5(ARCHIVE))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{unused.getsockname()[1]}/{CIFAR10.filename}")


def _assert_tiny_cifar10(data: Dataset) -> None:
    n_train = 5 * IMAGES_PER_BATCH
    assert (data.title, data.classes) == ("CIFAR-10", tuple(CLASSES))
    np.testing.assert_array_equal(data.train.images, IMAGES[:n_train])
    np.testing.assert_array_equal(data.train.labels, LABELS[:n_train])
    np.testing.assert_array_equal(data.test.images, IMAGES[n_train:])
    np.testing.assert_array_equal(data.test.labels, LABELS[n_train:])


def _put(folder: Path) -> Path:
    (folder / CIFAR10.base_folder).mkdir(parents=True)
    for name, content in FILES.items():
        (folder / CIFAR10.base_folder / name).write_bytes(content)
    return folder


@pytest.mark.usefixtures("tiny_cifar10")
def test_cifar10_of_another_size_is_scaled_as_files_are(tmp_path: Path) -> None:
    config = StudyConfig(data_dir=_put(tmp_path / "mine"), image_size=48)
    data = datasets.read(config)
    Image.fromarray(IMAGES[3]).save(tmp_path / "3.png")
    np.testing.assert_array_equal(data.train.images[3], read_image(tmp_path / "3.png", image_size=48))
    assert data.test.images.shape == (2, 48, 48, 3)


@pytest.mark.usefixtures("tiny_cifar10")
def test_cifar10_that_is_there_needs_no_network(tmp_path: Path, user_cache: Path) -> None:
    _assert_tiny_cifar10(datasets.load("cifar10", _put(tmp_path / "mine")))
    _put(user_cache)
    _assert_tiny_cifar10(datasets.load("cifar10", None))


@pytest.mark.usefixtures("tiny_cifar10")
def test_cifar10_in_the_cache_of_the_former_name_needs_no_network(user_cache: Path) -> None:
    _put(user_cache.with_name("netverdict"))
    _assert_tiny_cifar10(datasets.load("cifar10", None))
    assert not user_cache.exists()


@pytest.mark.usefixtures("tiny_cifar10")
def test_cifar10_archive_is_unpacked_over_damaged_files(tmp_path: Path) -> None:
    for name in ("data_batch_3", "batches.meta"):
        folder = _put(tmp_path / name)
        (folder / CIFAR10.base_folder / name).write_bytes(b"damaged")
        (folder / CIFAR10.filename).write_bytes(ARCHIVE)
        _assert_tiny_cifar10(datasets.load("cifar10", folder))


@pytest.mark.usefixtures("tiny_cifar10")
def test_cifar10_waits_for_whoever_unpacks_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with exclusive(tmp_path):
            loading = pool.submit(datasets.load, "cifar10", tmp_path)
            with pytest.raises(TimeoutError):
                loading.result(timeout=5 * cifar10.POLL_SECONDS)
            _put(tmp_path)
        _assert_tiny_cifar10(loading.result(timeout=60))


@contextlib.contextmanager
def _served(
    monkeypatch: pytest.MonkeyPatch, body: bytes, pieces: int = 1, pause: float = 0.0, hold: bool = False
) -> Iterator[list[str]]:
    """Serves `body` as if it were the archive, in pieces with a pause before each, and yields the list of requests.

    The connection is closed after the body, or held open until the end if `hold`.
    """
    requests: list[str] = []
    over = threading.Event()
    piece = -(-len(body) // pieces)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(ARCHIVE)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                for start in range(0, len(body), piece):
                    time.sleep(pause)
                    self.wfile.write(body[start : start + piece])
                if hold:
                    over.wait(10)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/{CIFAR10.filename}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield requests
        finally:
            over.set()
            server.shutdown()
            thread.join()


@pytest.mark.usefixtures("tiny_cifar10")
def test_cifar10_is_downloaded_once(user_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _served(monkeypatch, ARCHIVE) as requests:
        _assert_tiny_cifar10(datasets.load("cifar10", None))
        assert requests
        requests.clear()
        _assert_tiny_cifar10(datasets.load("cifar10", None))
        assert not requests
    assert {path.name for path in user_cache.iterdir()} == {CIFAR10.base_folder, CIFAR10.filename}


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_cifar10")
def test_cifar10_download_may_be_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "STALL_SECONDS", 1.0)
    began = time.monotonic()
    with _served(monkeypatch, ARCHIVE, pieces=8, pause=0.3):
        _assert_tiny_cifar10(datasets.load("cifar10", tmp_path))
    assert time.monotonic() - began > 2 * cifar10.STALL_SECONDS


def _assert_refused(folder: Path, reason: str) -> None:
    """Loading ends in time, in one line that names the remedies, and leaves nothing behind."""
    with within(cifar10.STALL_SECONDS + 1), pytest.raises(BadInput, match=reason) as caught:
        datasets.load("cifar10", folder)
    message = str(caught.value)
    assert "\n" not in message
    for remedy in (CIFAR10.filename, CIFAR10.base_folder, "--data-dir DIR", "--dataset folder", "--dataset digits"):
        assert remedy in message
    assert not list(folder.iterdir())


@pytest.mark.usefixtures("tiny_cifar10")
def test_cifar10_without_a_server(tmp_path: Path) -> None:
    _assert_refused(tmp_path, "refused")


@pytest.mark.usefixtures("tiny_cifar10")
def test_cifar10_from_a_silent_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cifar10.STALL_SECONDS <= 25, "a download that cannot be made has 30 s"
    monkeypatch.setattr(cifar10, "STALL_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{server.getsockname()[1]}/{CIFAR10.filename}")
        _assert_refused(tmp_path, "nothing arrived for 0.5 s")
    _join_downloads()


@pytest.mark.usefixtures("tiny_cifar10")
def test_cifar10_from_a_server_that_falls_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "STALL_SECONDS", 0.5)
    with _served(monkeypatch, ARCHIVE[:100_000], hold=True) as requests:
        _assert_refused(tmp_path, "nothing arrived for 0.5 s")
        assert requests
    _join_downloads()


@pytest.mark.usefixtures("tiny_cifar10")
def test_cifar10_from_a_server_that_hangs_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _served(monkeypatch, ARCHIVE[:100_000]):
        _assert_refused(tmp_path, "corrupted")


@pytest.mark.usefixtures("tiny_cifar10")
def test_cifar10_with_a_wrong_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _served(monkeypatch, ARCHIVE[:-1] + b"?"):
        _assert_refused(tmp_path, "corrupted")


@pytest.mark.usefixtures("tiny_cifar10")
def test_cifar10_that_cannot_be_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(BadInput, match="Not a directory"):
        datasets.load("cifar10", None)


def _join_downloads() -> None:
    for thread in threading.enumerate():
        if thread.name == "download":
            thread.join(5)
            assert not thread.is_alive()
