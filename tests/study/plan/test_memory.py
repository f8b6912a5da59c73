"""Images that do not fit into memory are refused before one is read."""

from pathlib import Path

import numpy as np
import pytest

from study.errors import BadInput
from study.plan import memory
from study.run import main
from study.settings.config import StudyConfig

DIGITS = {"dataset": "digits", "image_size": 64}


def _free(monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    monkeypatch.setattr(memory, "estimate_available_memory", lambda: n_bytes)


def test_images_that_fit_are_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, int(1797 * 64 * 64 * 3 / 0.3) + 10)
    memory.check_memory(StudyConfig(**DIGITS))


@pytest.mark.parametrize(
    ("share", "settings", "line"),
    [
        (3.3, {}, "1,797 images x 64 x 64 pixels x 3 bytes are 0.0 GB, and Ray's shared memory holds 0.0 GB: lower"),
        (3.3, {"train_size": 1437}, "Ray's shared memory holds"),
        (3.3, {"train_size": 1000}, None),
        (3.3, {"address": "auto"}, None),
        (0.9, {"train_size": 100}, "1,797 images x 64 x 64 pixels x 3 bytes are 0.0 GB, and the free memory is 0.0 GB"),
        (0.9, {"address": "auto"}, "the free memory is"),
    ],
)
def test_the_larger_need_is_refused(
    share: float, settings: dict[str, object], line: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _free(monkeypatch, int(share * 1797 * 64 * 64 * 3))
    config = StudyConfig(**DIGITS, **settings)  # type: ignore[arg-type]
    if line is None:
        memory.check_memory(config)
    else:
        with pytest.raises(BadInput, match=line):
            memory.check_memory(config)


def test_the_command_ends_before_an_image_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = np.zeros((4000, 8, 8), np.uint8)
    labels = np.arange(4000) % 2
    np.savez(tmp_path / "mine.npz", x_train=pixels, y_train=labels, x_test=pixels[:1000], y_test=labels[:1000])
    _free(monkeypatch, 2 * 10**9)
    words = ["--dataset", "folder", "--data-dir", "mine.npz", "--archs", "mobilenet", "--image-size", "224", "--quiet"]
    for more in ([], ["--dry-run"]):
        assert main([*words, *more]) == 2
        out, err = capfd.readouterr()
        assert (out, err) == (
            "",
            "error: 5,000 images x 224 x 224 pixels x 3 bytes are 0.8 GB, and Ray's shared memory holds 0.6 GB: lower"
            " --image-size, use fewer images, or free memory\n",
        )
