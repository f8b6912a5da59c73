"""Splits the images of one folder of classes into training and test images."""

import re
from collections.abc import Sequence

import numpy as np

from study.data.folder.repeats import Signatures, near_pairs, pictures
from study.errors import BadInput


def split_images(
    images: np.ndarray, labels: np.ndarray, classes: Sequence[str], groups: np.ndarray, share: float, seed: int
) -> np.ndarray:
    """Choose the test images: every class in proportion, and repeated pictures and groups on one side.

    Args:
        images: uint8 [n, size, size, 3].
        labels: int64 [n].
        classes: the names of the classes.
        groups: for each image the position of an image of its group, itself if it is alone, int64 [n].
        share: share of the test images, in (0, 1).
        seed: at least 0; the same images and seed give the same split.

    Returns:
        True for each test image, bool [n].

    Raises:
        BadInput: if a class cannot be on both sides.
    """
    # Here and below, because studies of published data sets do not need SciPy.
    from scipy.sparse import coo_array

    together = _components(len(labels), images, groups)
    counts = coo_array((np.ones(len(labels), np.int64), (together, labels))).tocsr()
    totals = np.bincount(labels, minlength=len(classes))
    wanted = np.maximum(1.0, share * totals)
    in_test = np.zeros(len(classes))
    chosen = np.zeros(counts.shape[0], bool)
    # By lot, because large components first would fill the test set with repeated pictures.
    for component in np.random.default_rng(seed).permutation(len(chosen)):
        row = slice(counts.indptr[component], counts.indptr[component + 1])
        of, more = counts.indices[row], counts.data[row]
        # The squared distance to the wanted numbers falls, and some images of each class are left for training.
        comes_nearer = (more * (2 * (wanted[of] - in_test[of]) - more)).sum() > 0
        if comes_nearer and (in_test[of] + more < totals[of]).all():
            chosen[component] = True
            in_test[of] += more
    for label in np.flatnonzero((in_test == 0) | (in_test == totals)).tolist():
        n_components = np.unique(together[labels == label]).size
        reason = (
            f"it has {totals[label]} image{'s' if totals[label] != 1 else ''}"
            if totals[label] < 2
            else f"its {totals[label]} images are {n_components} group{'s' if n_components != 1 else ''} of images that"
            " stay together"
        )
        raise BadInput(
            f"the class {classes[label]!r} cannot be in both training and test ({reason}): add images, or change"
            " --test-share or --group-by"
        )
    in_test_part: np.ndarray = chosen[together]
    return in_test_part


def group_numbers(files: Sequence[str], pattern: str | None) -> np.ndarray:
    """Number the groups of files that --group-by keeps together.

    Args:
        files: the names of the files below the folder of the classes, such as "cat/patient7-1.png".
        pattern: a regular expression that is searched in each name. Files whose first bracket (or whole match) is the
            same text are a group. None makes each file a group of its own.

    Returns:
        The number of each file's group, int64 [n]. A file that the pattern does not match is a group of its own.

    Raises:
        BadInput: if the pattern is no regular expression, or matches no file.
    """
    if pattern is None:
        return np.arange(len(files))
    found = [compiled_pattern(pattern).search(file) for file in files]
    if not any(found):
        raise BadInput(f"--group-by {pattern!r} matches no file, such as {files[0]!r}: change the pattern")
    numbers: dict[str, int] = {}
    groups = np.arange(len(files), dtype=np.int64)
    for index, match in enumerate(found):
        if match is not None:
            text = next((part for part in match.groups() if part is not None), match[0])
            groups[index] = numbers.setdefault(text, index)
    return groups


def compiled_pattern(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of --group-by. Raises BadInput if it is none."""
    try:
        return re.compile(pattern)
    except re.error as error:
        raise BadInput(f"--group-by {pattern!r} is not a regular expression ({error}): change it") from error


def _components(n: int, images: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Number the sets of images that stay together, because they repeat a picture or are of one group, int64 [n]."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first = pictures(images)
    positions = np.unique(first)
    signatures = Signatures(images[positions])
    near = positions[near_pairs(signatures, signatures)]
    itself = np.arange(n)
    rows, columns = np.concatenate([itself, itself, near[:, 0]]), np.concatenate([first, groups, near[:, 1]])
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(n, n))
    numbers: np.ndarray = connected_components(graph, directed=False)[1]
    return numbers
