"""Splits, subsets, fingerprints and channel statistics."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data import (
    Dataset,
    LabelledImages,
    Split,
    TooFewImages,
    TrainingData,
    channel_statistics,
    stratified_split,
    stratified_subset,
)
from tests.builders import noise

few_examples = settings(max_examples=40, deadline=None)
class_sizes = st.lists(st.integers(20, 60), min_size=2, max_size=5)


def _labels(sizes: list[int]) -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))


def _of_labels(labels: np.ndarray) -> LabelledImages:
    """Images that carry their position in their first two bytes."""
    images = np.zeros((len(labels), 32, 32, 3), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.divmod(np.arange(len(labels)), 256)
    return LabelledImages(images, labels)


def _positions(data: LabelledImages) -> np.ndarray:
    return data.images[:, 0, 0, 0].astype(int) * 256 + data.images[:, 0, 0, 1]


# --- the split


@few_examples
@given(class_sizes, st.integers(0, 2**32 - 1))
def test_a_split_is_a_partition_with_the_classes_in_proportion(sizes: list[int], seed: int) -> None:
    labels = _labels(sizes)
    split = stratified_split(labels, seed)
    assert np.array_equal(np.sort(np.concatenate([split.train, split.validation])), np.arange(len(labels)))
    assert all(np.all(np.diff(part) > 0) and part.dtype == np.int64 for part in (split.train, split.validation))
    assert len(split.validation) == round(0.1 * len(labels))
    counts = np.bincount(labels[split.validation], minlength=len(sizes))
    assert np.all(np.abs(counts - 0.1 * np.array(sizes)) < 1.1)


def test_a_split_depends_on_its_seed_alone() -> None:
    labels = _labels([50, 50])
    one, same, other = (stratified_split(labels, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.validation, same.validation)
    assert not np.array_equal(one.validation, other.validation)


def test_no_class_is_favoured_where_it_does_not_come_out_even() -> None:
    labels = _labels([15, 15, 15, 35])
    drawn = [np.bincount(labels[stratified_split(labels, seed).validation]) for seed in range(400)]
    assert np.allclose(np.mean(drawn, axis=0), [1.5, 1.5, 1.5, 3.5], atol=0.1)


def test_cifar10_sizes() -> None:
    split = stratified_split(np.repeat(np.arange(10), 5000), 0)
    assert (len(split.train), len(split.validation)) == (45_000, 5_000)
    assert set(split.validation // 5000) == set(range(10))


@pytest.mark.parametrize("sizes", [[], [4], [30, 1], [3, 3, 3]], ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_a_split_that_would_miss_a_class_is_refused(sizes: list[int], seed: int) -> None:
    with pytest.raises(TooFewImages, match="too few"):
        stratified_split(_labels(sizes), seed)


def test_many_small_classes_are_refused_for_their_number() -> None:
    with pytest.raises(TooFewImages, match="is 180 for validation, too few for 200 classes"):
        stratified_split(_labels([9] * 200), 0)


def test_a_class_that_is_too_small_is_named() -> None:
    with pytest.raises(TooFewImages, match="the smallest class has 1 of 31") as caught:
        stratified_split(_labels([30, 1]), 0)
    assert caught.value.label == 1


@pytest.mark.parametrize(("sizes", "drawn"), [([200, 2], [19, 1]), ([5, 95], [1, 9]), ([5, 15, 40, 40], [1, 1, 4, 4])])
def test_the_smallest_class_is_on_both_sides_whatever_the_seed(sizes: list[int], drawn: list[int]) -> None:
    labels = _labels(sizes)
    for seed in range(30):
        assert np.bincount(labels[stratified_split(labels, seed).validation]).tolist() == drawn


# --- the subset


@few_examples
@given(class_sizes, st.data())
def test_a_subset_keeps_the_classes_in_proportion(sizes: list[int], draw: st.DataObject) -> None:
    data = _of_labels(_labels(sizes))
    size = draw.draw(st.integers(len(sizes) * 4, len(data) - 1))
    subset = stratified_subset(data, size, draw.draw(st.integers(0, 2**32 - 1)))
    assert len(subset) == size
    counts = np.bincount(subset.labels, minlength=len(sizes))
    assert np.all(np.abs(counts - size / len(data) * np.array(sizes)) < 1.1)
    kept = _positions(subset)
    assert np.all(np.diff(kept) > 0), "each image once, in their order"
    assert np.array_equal(subset.labels, data.labels[kept])


@few_examples
@given(st.lists(st.integers(1, 30), min_size=2, max_size=5), st.data())
def test_a_subset_holds_every_class_or_is_refused(sizes: list[int], draw: st.DataObject) -> None:
    data = _of_labels(_labels(sizes))
    size = draw.draw(st.integers(1, len(data)))
    try:
        subset = stratified_subset(data, size, draw.draw(st.integers(0, 100)))
    except TooFewImages:
        return
    assert len(subset) == size
    assert set(subset.labels) == set(data.labels)


def test_a_subset_depends_on_its_seed_alone() -> None:
    data = _of_labels(_labels([50, 50]))
    one, same, other = (_positions(stratified_subset(data, 40, seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_subset_of_all_is_all() -> None:
    data = noise(12)
    assert stratified_subset(data, 12, 0) is data


@pytest.mark.parametrize("left_out", [1, 2])
def test_a_subset_may_leave_out_fewer_images_than_there_are_classes(left_out: int) -> None:
    data = _of_labels(_labels([5, 5, 5]))
    assert len(stratified_subset(data, 15 - left_out, 0)) == 15 - left_out


@pytest.mark.parametrize(("size", "message"), [(31, "31 .* there are 30"), (2, "cannot hold all 3"), (0, "hold all 3")])
def test_sizes_that_cannot_be(size: int, message: str) -> None:
    with pytest.raises(TooFewImages, match=message):
        stratified_subset(noise(30), size, 0)


# --- the fingerprint


def _dataset() -> Dataset:
    return Dataset("Toy", ("cat", "dog", "emu"), noise(6, seed=1), noise(3, seed=2))


def _with_pixel(data: LabelledImages, position: int) -> LabelledImages:
    images = data.images.copy()
    images[position, 31, 31, 2] ^= 1
    return LabelledImages(images, data.labels)


def _with_label(data: LabelledImages, position: int) -> LabelledImages:
    labels = data.labels.copy()
    labels[position] = (labels[position] + 1) % 3
    return LabelledImages(data.images, labels)


def _ordered(data: LabelledImages, order: list[int]) -> LabelledImages:
    return LabelledImages(data.images[order], data.labels[order])


def test_a_fingerprint_changes_with_everything() -> None:
    whole = _dataset()
    changed = [
        *(replace(whole, train=_with_pixel(whole.train, position)) for position in range(6)),
        *(replace(whole, test=_with_pixel(whole.test, position)) for position in range(3)),
        *(replace(whole, train=_with_label(whole.train, position)) for position in range(6)),
        *(replace(whole, test=_with_label(whole.test, position)) for position in range(3)),
        replace(whole, classes=("cat", "dog", "elk")),
        replace(whole, classes=("dog", "cat", "emu")),
        replace(whole, classes=("catdog", "emu")),
        replace(whole, train=_ordered(whole.train, [1, 0, 2, 3, 4, 5])),
        replace(whole, train=_ordered(whole.train, [3, 1, 2, 0, 4, 5])),
        replace(whole, train=whole.test, test=whole.train),
    ]
    prints = [dataset.fingerprint() for dataset in (whole, *changed)]
    assert len(set(prints)) == len(prints)
    assert all(len(text) == 64 and int(text, 16) >= 0 for text in prints)


def test_a_fingerprint_is_of_the_values_not_of_their_layout_in_memory() -> None:
    whole = _dataset()
    strided = LabelledImages(np.asfortranarray(whole.train.images), np.repeat(whole.train.labels, 2)[::2])
    assert replace(whole, train=strided).fingerprint() == whole.fingerprint()
    assert replace(whole, title="Other").fingerprint() == whole.fingerprint()


# --- channel statistics


def test_channel_statistics_are_those_of_numpy() -> None:
    images = np.random.default_rng(0).integers(0, [[[30, 200, 256]]], (17, 32, 32, 3)).astype(np.uint8)
    found = channel_statistics(images)
    np.testing.assert_allclose(found.mean, images.mean(axis=(0, 1, 2), dtype=float), rtol=1e-6)
    np.testing.assert_allclose(found.deviation, images.std(axis=(0, 1, 2), dtype=float), rtol=1e-6)
    assert found.mean.dtype == found.deviation.dtype == np.float32


def test_a_constant_channel_has_deviation_one() -> None:
    images = np.full((4, 32, 32, 3), 255, np.uint8)
    images[0, 0, 0, 1] = 254
    found = channel_statistics(images)
    assert found.deviation[0] == found.deviation[2] == 1
    assert found.deviation[1] == pytest.approx(images[..., 1].std(), rel=1e-4)


def test_normalisation_comes_from_the_training_part_alone() -> None:
    images = np.zeros((4, 32, 32, 3), np.uint8)
    images[2:] = 200
    source = LabelledImages(images, np.array([0, 1, 0, 1]))
    data = TrainingData.from_split(source, Split(np.array([0, 1]), np.array([2, 3])), n_classes=5)
    assert data.statistics.mean.tolist() == [0, 0, 0]
    assert data.n_classes == 5


# --- what is not labelled images


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 32, 32, 3)), np.zeros(2, np.int64), r"images must be .* not float64"),
        (np.zeros((2, 3, 32, 32), np.uint8), np.zeros(2, np.int64), r"images must be .* \(2, 3, 32, 32\)"),
        (np.zeros((32, 32, 3), np.uint8), np.zeros(32, np.int64), "images must be"),
        (np.zeros((2, 32, 32, 3), np.uint8), np.zeros(2, np.int32), "labels must be .* not int32"),
        (np.zeros((2, 32, 32, 3), np.uint8), np.zeros(3, np.int64), r"labels must be .* \(3,\)"),
        (np.zeros((2, 32, 32, 3), np.uint8), np.zeros((2, 1), np.int64), "labels must be"),
    ],
)
def test_arrays_of_another_form_are_refused(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LabelledImages(images, labels)
