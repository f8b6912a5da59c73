"""Reads a folder of images, PATH/train/<class>/* and PATH/test/<class>/*, as arrays; keeps what it has read."""

import hashlib
import os
import stat
import sys
import time
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from platformdirs import user_cache_path
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from analysis.results.files import write_atomically
from models.data import IMAGE_SHAPE, Dataset, LabelledImages
from study.errors import BadInput

LAYOUT = "train/<class>/* and test/<class>/*"
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
# What files with these extensions hold in practice. Others stay shut: PIL runs Ghostscript on an EPS.
IMAGE_FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP", "GIF")
IMAGES_PER_TASK = 256
# On 2 cores a second thread takes 40 % off 500x375 photographs; 32x32 files, bound by the interpreter, gain nothing.
MAX_THREADS = 8
# To be raised when decoding changes, so that older caches are not used.
CACHE_FORMAT = "1"
CACHES_KEPT = 4
STALE_SECONDS = 24 * 3600.0
# What zipfile and numpy raise on damaged files; RuntimeError is a flipped bit that asks for a password.
DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError, RuntimeError, ValueError)


def load_image_folder(root: Path) -> Dataset:
    """Reads the images below `root`/train and `root`/test, or the arrays kept from reading the same files before.

    Every image becomes 32x32 RGB: scaled without distortion, the centre kept, transparency shown on white. The
    classes are the folder names in sorted order, the title is the name of `root`.

    Raises:
        BadInput: if the folders are not as `folder_classes` wants them, a class has no image, or an image cannot
            be read.
    """
    classes = folder_classes(root)
    root = root.resolve()
    (train, train_labels), (test, test_labels) = (_find_images(root / part, classes) for part in ("train", "test"))
    cache = user_cache_path("netverdict") / "folder" / f"{_fingerprint(root, [*train, *test])}.npz"
    images = _read_cache(cache, len(train), len(test))
    if images is None:
        decoded = _decode_all([*train, *test], root)
        images = decoded[: len(train)], decoded[len(train) :]
        _write_cache(cache, *images)
    # A folder name may be bytes that are no text; a title is text.
    title = os.fsencode(root.name or str(root)).decode(errors="replace")
    return Dataset(title, classes, LabelledImages(images[0], train_labels), LabelledImages(images[1], test_labels))


def folder_classes(root: Path) -> tuple[str, ...]:
    """The class names, sorted, of a folder of images. Opens no file.

    Raises:
        BadInput: if `root` is no folder, train/ or test/ is missing, they differ in their classes, or there are
            fewer than two.
    """
    if not os.path.isdir(root):
        raise BadInput(f"there is no folder {str(root)!r}")
    names: dict[str, list[str]] = {}
    for part in ("train", "test"):
        folder = root / part
        if not os.path.isdir(folder):
            raise BadInput(f"there is no folder {str(folder)!r}: a data folder holds {LAYOUT}")
        try:
            names[part] = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
        except OSError as error:
            raise BadInput(f"{str(folder)!r}: {error.strerror}") from error
        if not names[part]:
            raise BadInput(f"{str(folder)!r} has no classes; a data folder holds {LAYOUT}")
    for part, other in (("train", "test"), ("test", "train")):
        if missing := sorted(set(names[part]) - set(names[other])):
            shown = ", ".join(map(repr, missing[:5])) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            raise BadInput(f"train and test of {str(root)!r} differ in their classes: only in {part}: {shown}")
    classes = tuple(names["train"])
    if len(classes) < 2:
        raise BadInput(f"{str(root)!r} has the one class {classes[0]!r}: at least two are needed")
    for name in classes:
        if not name.isprintable():
            raise BadInput(f"the class name {name!r} in {str(root)!r} is not printable text: rename the folder")
    return classes


def _find_images(folder: Path, classes: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Paths of the images of train/ or test/, class by class, and their labels, int64 [n].

    They are those that torchvision's ImageFolder finds, in its order; importing that takes as long as importing torch.
    """
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        for place, files in sorted(_walk(folder / name)):
            paths += [os.path.join(place, file) for file in sorted(files) if file.lower().endswith(EXTENSIONS)]
        labels += [label] * (len(paths) - len(labels))
    if empty := sorted(set(range(len(classes))) - set(labels)):
        raise BadInput(
            f"{str(folder)!r}: no image in the classes {', '.join(classes[label] for label in empty)}; files whose"
            f" names end with one of {' '.join(EXTENSIONS)} count"
        )
    return paths, np.array(labels, dtype=np.int64)


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Every folder below this one, links followed, and its files. Raises BadInput if a link leads round in a circle."""
    for place, folders, files in os.walk(folder, followlinks=True):
        links = [path for path in (os.path.join(place, name) for name in folders) if os.path.islink(path)]
        above = {os.path.realpath(path) for path in (Path(place), *Path(place).parents)} if links else set()
        for link in links:
            if os.path.realpath(link) in above:
                raise BadInput(
                    f"the link {link!r} leads to a folder that it lies in: its images would count many times"
                )
        yield place, files


def _fingerprint(root: Path, paths: Iterable[str]) -> str:
    """SHA-256 over what tells one state of these files from another, their contents unread.

    The time of the last change of the inode is in it: a file that was replaced and given the old date is new.
    """
    digest = hashlib.sha256(CACHE_FORMAT.encode())
    for path in paths:
        try:
            status = os.stat(path)
        except OSError as error:
            raise BadInput(f"cannot read the image {path!r}: {error.strerror}") from error
        if not stat.S_ISREG(status.st_mode):
            raise BadInput(f"cannot read the image {path!r}: it is not a file")
        digest.update(os.fsencode(path.removeprefix(str(root))))
        digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}\0".encode())
    return digest.hexdigest()


def _decode_all(paths: Sequence[str], root: Path) -> np.ndarray:
    """The images as uint8 [n, 32, 32, 3], progress on standard error."""
    images = np.empty((len(paths), *IMAGE_SHAPE), dtype=np.uint8)

    def decode_some(start: int) -> int:
        some = paths[start : start + IMAGES_PER_TASK]
        for index, path in enumerate(some, start):
            images[index] = _decode(path)
        return len(some)

    is_terminal = sys.stderr.isatty()
    if not is_terminal:
        print(f"Reading {len(paths):,} images from {root}", file=sys.stderr, flush=True)
    columns = (TextColumn("Reading images"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_THREADS))
    with warnings.catch_warnings(), Progress(*columns, console=Console(stderr=True), disable=not is_terminal) as bar:
        # PIL warns of odd metadata, which leaves the pixels alone, and of images too large to be meant.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        task = bar.add_task("", total=len(paths))
        try:
            for done in pool.map(decode_some, range(0, len(paths), IMAGES_PER_TASK)):
                bar.advance(task, done)
        finally:
            pool.shutdown(cancel_futures=True)
    return images


def _decode(path: str) -> np.ndarray:
    """One image as uint8 [32, 32, 3]; one that is 32x32 RGB already keeps its pixels."""
    height, width, _ = IMAGE_SHAPE
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            ImageOps.exif_transpose(image, in_place=True)
            return np.asarray(ImageOps.fit(_to_rgb(image), (width, height), Image.Resampling.BILINEAR))
    except UnidentifiedImageError as error:
        raise BadInput(f"cannot read the image {path!r}: it is empty or not an image") from error
    except Exception as error:  # PIL's plug-ins raise whatever a damaged file leads them into
        raise BadInput(f"cannot read the image {path!r}: {' '.join(str(error).split())}") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "I" and image.format == "TIFF":
        raise ValueError("32-bit pixels have no fixed range")
    if image.mode.startswith("I"):
        # PIL would clip 16 bits at 255.
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its values exceed 16 bits")
        return Image.fromarray(np.round(values / 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")
    return image.convert("RGB")


def _read_cache(cache: Path, n_train: int, n_test: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The images of train and test as they were kept, or None if they were not, or are damaged."""
    try:
        with zipfile.ZipFile(cache) as archive:  # numpy alone does not always read as far as the checksum
            if archive.testzip() is not None:
                raise zipfile.BadZipFile("wrong checksum")
        with np.load(cache, allow_pickle=False) as arrays:
            images = arrays["train"], arrays["test"]
    except FileNotFoundError:
        return None
    except DAMAGE as error:
        print(f"The kept images in {cache} are not used ({error})", file=sys.stderr)
        return None
    if [part.shape for part in images] != [(n_train, *IMAGE_SHAPE), (n_test, *IMAGE_SHAPE)]:
        return None
    return images


def _write_cache(cache: Path, train: np.ndarray, test: np.ndarray) -> None:
    """Keeps the arrays, whole or not at all, and drops the oldest of too many. A study can do without."""
    try:
        cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # private, as the images may be
        write_atomically(cache, lambda file: np.savez(file, train=train, test=test))
        _drop_old_caches(cache.parent)
    except OSError as error:
        print(f"The images are not kept in {cache.parent} ({error}): they will be read again", file=sys.stderr)


def _drop_old_caches(folder: Path) -> None:
    by_age = sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime, reverse=True)
    # A temporary file this old was left behind by a process that was killed.
    stale = [path for path in folder.glob("*.tmp") if path.stat().st_mtime < time.time() - STALE_SECONDS]
    for path in [*by_age[CACHES_KEPT:], *stale]:
        path.unlink(missing_ok=True)
