"""Random changes of training images: flips from left to right, and crops of padded images.

Chance is drawn for a whole epoch at once, on the CPU, so every device trains on the same images.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

# The padding on each side is this part of the image's side: 4 pixels of 32, as He et al. (2016) pad CIFAR-10.
PADDING = 1 / 8


def draw_changes(augment: str, n: int, shape: tuple[int, ...], sequence: np.random.SeedSequence) -> Tensor | None:
    """Draw how each image of an epoch is changed.

    Args:
        augment: none, flip (from left to right, with probability 1/2) or flip_crop (and a crop, each place equally
            likely).
        n: number of images.
        shape: height and width of an image, in pixels.
        sequence: the only source of chance; nothing is drawn for none.

    Returns:
        None for none, else int64 [n, 3]: 1 for a flip, and the top row and left column of the crop in the padded image.
    """
    if augment == "none":
        return None
    rng = np.random.default_rng(sequence)
    changes = np.zeros((n, 3), np.int64)
    changes[:, 0] = rng.integers(0, 2, n)
    for axis, padding in enumerate(_paddings(shape), start=1):
        changes[:, axis] = rng.integers(0, 2 * padding + 1, n) if augment == "flip_crop" else padding
    return torch.from_numpy(changes)


def change_images(images: Tensor, changes: Tensor) -> Tensor:
    """Flip each image, pad it with zeros, and cut a window of the image's own size out of it.

    Args:
        images: [n, c, h, w], normalised, so that 0 is the mean of a channel; in any memory format.
        changes: rows of `draw_changes` for these images, on their device.

    Returns:
        [n, c, h, w], channels last.
    """
    n, c, h, w = images.shape
    rows, columns = _paddings((h, w))
    padded = F.pad(images.permute(0, 2, 3, 1), (0, 0, columns, columns, rows, rows))
    is_flipped, top, left = (changes[:, i, None] for i in range(3))
    y = torch.arange(h, device=images.device) + top
    x = torch.arange(w, device=images.device) + left
    x = torch.where(is_flipped == 1, padded.shape[2] - 1 - x, x)
    first = torch.arange(n, device=images.device)[:, None] * padded.shape[1]
    pixels = (first + y)[:, :, None] * padded.shape[2] + x[:, None, :]
    return padded.reshape(-1, c).index_select(0, pixels.view(-1)).view(n, h, w, c).permute(0, 3, 1, 2)


def _paddings(shape: tuple[int, ...]) -> list[int]:
    """Return the rows above and below, and the columns left and right."""
    return [int(PADDING * side) for side in shape]
