"""Flips and crops: right to the pixel, drawn uniformly, and the same in every memory format."""

import numpy as np
import pytest
import torch

from models.augmentation import change_images, draw_changes
from models.randomness import stream


def _cut(image: np.ndarray, is_flipped: int, top: int, left: int) -> np.ndarray:
    """Flip, pad and crop one image [c, h, w] by slices."""
    c, h, w = image.shape
    padded = np.zeros((c, h + 2 * (h // 8), w + 2 * (w // 8)), image.dtype)
    padded[:, h // 8 : h // 8 + h, w // 8 : w // 8 + w] = image[:, :, ::-1] if is_flipped else image
    return padded[:, top : top + h, left : left + w]


@pytest.mark.parametrize("shape", [(32, 32), (16, 24), (7, 9)], ids=str)
@pytest.mark.parametrize("augment", ["flip", "flip_crop"])
def test_images_are_flipped_and_cropped_to_the_pixel_in_any_memory_format(augment: str, shape: tuple[int, int]) -> None:
    images = torch.randn(40, 3, *shape)
    changes = draw_changes(augment, 40, shape, stream(0, "test"))
    assert changes is not None
    expected = np.stack([_cut(image, *row) for image, row in zip(images.numpy(), changes.tolist(), strict=True)])
    for given in (images, images.contiguous(memory_format=torch.channels_last)):
        found = change_images(given, changes)
        assert np.array_equal(found.numpy(), expected)
        assert found.is_contiguous(memory_format=torch.channels_last)


def test_flips_and_places_are_equally_likely() -> None:
    changes = draw_changes("flip_crop", 90_000, (32, 32), stream(0, "test"))
    assert changes is not None
    flips, *places = (np.bincount(column) for column in changes.numpy().T)
    for counts in (flips, *places):
        # Six standard deviations of a binomial count.
        expected = 90_000 / len(counts)
        assert np.abs(counts - expected).max() < 6 * np.sqrt(expected)
    assert (len(flips), *(len(counts) for counts in places)) == (2, 9, 9)


def test_a_flip_alone_moves_no_image() -> None:
    changes = draw_changes("flip", 100, (32, 32), stream(0, "test"))
    assert changes is not None
    assert set(changes[:, 0].tolist()) == {0, 1}
    assert set(map(tuple, changes[:, 1:].tolist())) == {(4, 4)}


def test_nothing_is_drawn_for_none() -> None:
    class Untouchable(np.random.SeedSequence):
        def generate_state(self, *_: object, **__: object) -> np.ndarray:
            raise AssertionError("a number was drawn")

    assert draw_changes("none", 10, (32, 32), Untouchable(0)) is None
    with pytest.raises(AssertionError, match="a number was drawn"):
        draw_changes("flip", 10, (32, 32), Untouchable(0))
