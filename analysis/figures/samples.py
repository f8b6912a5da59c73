"""Chooses the test images that a report shows, by rule and not by eye."""

import numpy as np
from scipy import special

from analysis.results.load import Group

KINDS = ("right", "confidently wrong", "disagreement")


def judged_networks(groups: dict[str, Group]) -> dict[str, Group]:
    """Return the group that stands for each network, by its name: the tuned group, else the baseline."""
    judged: dict[str, Group] = {}
    for group in groups.values():
        if group.arch not in judged or group.variant == "tuned":
            judged[group.arch] = group
    return judged


def judged_probabilities(groups: dict[str, Group]) -> dict[str, np.ndarray]:
    """Return the class probabilities of one run of each network: the run with the lowest seed that all networks have.

    Returns:
        Class probabilities in [0, 1] by network, float64 [n_test, n_classes]; empty if there is no common seed.
    """
    judged = judged_networks(groups)
    common = set.intersection(*(set(group.seeds) for group in judged.values())) if judged else set()
    if not common:
        return {}
    seed = min(common)
    return {
        arch: special.softmax(group.runs[group.seeds.index(seed)].logits.astype(float), axis=1)
        for arch, group in judged.items()
    }


def choose_positions(groups: dict[str, Group], per_kind: int = 8) -> dict[str, np.ndarray]:
    """Choose test images of three kinds, the same ones every time.

    - right: every network is right. The first image of each class comes first, then the second of each, and so on.
    - confidently wrong: some network is wrong. The wrong answer with the highest probability comes first.
    - disagreement: the networks name different classes. The image whose least sure network is surest comes first.

    Args:
        groups: the groups of the study.
        per_kind: at most this number of images of a kind.

    Returns:
        The positions in the test set for each of KINDS, int64 [at most per_kind]. An image may be of two kinds.

    Raises:
        ValueError: if the groups were not judged on the same test images.
    """
    probabilities = judged_probabilities(groups)
    if not probabilities:
        return {kind: np.empty(0, dtype=np.int64) for kind in KINDS}
    judged = judged_networks(groups)
    labels = next(iter(judged.values())).labels
    if any(not np.array_equal(group.labels, labels) for group in judged.values()):
        raise ValueError("the groups were judged on different test images")

    # Arrays [networks, n_test].
    said = np.stack([values.argmax(axis=1) for values in probabilities.values()])
    confidence = np.stack([values.max(axis=1) for values in probabilities.values()])
    wrong = said != labels
    wrong_confidence = np.where(wrong, confidence, 0.0).max(axis=0)
    differ = (said != said[0]).any(axis=0)
    return {
        "right": _one_class_after_another(np.flatnonzero(~wrong.any(axis=0)), labels)[:per_kind],
        "confidently wrong": _highest_first(np.flatnonzero(wrong.any(axis=0)), wrong_confidence)[:per_kind],
        "disagreement": _highest_first(np.flatnonzero(differ), confidence.min(axis=0))[:per_kind],
    }


def _highest_first(positions: np.ndarray, values: np.ndarray) -> np.ndarray:
    return positions[np.argsort(-values[positions], kind="stable")]


def _one_class_after_another(positions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Order ascending positions by their rank within their class, then by class."""
    classes = labels[positions]
    rank = np.empty(len(positions), dtype=np.int64)
    for label in np.unique(classes):
        of_class = classes == label
        rank[of_class] = np.arange(of_class.sum())
    return positions[np.lexsort((classes, rank))]
