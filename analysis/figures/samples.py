"""Which test images a report shows, chosen by rule and not by eye."""

import numpy as np
from scipy import special

from analysis.results.load import Group

KINDS = ("right", "confidently wrong", "disagreement")


def judged_networks(groups: dict[str, Group]) -> dict[str, Group]:
    """The group that speaks for each architecture, by its name: the tuned one, else the baseline."""
    judged: dict[str, Group] = {}
    for group in groups.values():
        if group.arch not in judged or group.variant == "tuned":
            judged[group.arch] = group
    return judged


def judged_probabilities(groups: dict[str, Group]) -> dict[str, np.ndarray]:
    """What one run of each architecture says of the test images: the run of the lowest seed that all of them have.

    Returns:
        Class probabilities in [0, 1] by architecture, float64 [n_test, n_classes]; empty without a common seed.
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
    """Chooses the test images that show what the networks do, the same ones every time.

    - right: every network is right; the first image of each class, then the second of each, and so on.
    - confidently wrong: some network is wrong; those where it gave its wrong answer the highest probability.
    - disagreement: the networks name different classes; those where the least sure of them is most sure.

    Returns:
        For each of KINDS the positions in the test set, int64 [at most per_kind]. An image may be of two kinds.

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
    """Orders ascending positions by their rank within their class, then by class."""
    classes = labels[positions]
    rank = np.empty(len(positions), dtype=np.int64)
    for label in np.unique(classes):
        of_class = classes == label
        rank[of_class] = np.arange(of_class.sum())
    return positions[np.lexsort((classes, rank))]
