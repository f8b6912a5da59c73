"""The training loop: exact resume, repeatability, early stopping, divergence, and agreement with a plain loop."""

import io
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plain import plain_network
from models.data import TrainingData
from models.networks.registry import ARCHITECTURES, Architecture
from models.precision import resolve
from models.randomness import RunSeeds, stream
from models.training.history import EpochResult, best_epoch, outcome_of
from models.training.inference import DeviceImages, predict_logits
from models.training.loop import TrainingRun
from models.training.recipe import TrainingConfig
from tests.builders import CPU, FAST_BF16, SMALL, TOY, ToyNet, coloured, epoch, noise, training_data, training_run

REAL = [ARCHITECTURES["alexnet"], ARCHITECTURES["mobilenet"]]
SHORT = TrainingConfig({"lr": 1e-3, "dropout": 0.3}, max_epochs=3, batch_size=16)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _train(run: TrainingRun, epochs: int | None = None) -> TrainingRun:
    while run.outcome is None and (epochs is None or len(run.history) < epochs):
        run.train_epoch()
    return run


def _stored(state: dict[str, Any]) -> dict[str, Any]:
    """The state as it comes back from a file."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return dict(torch.load(file, weights_only=True))


def _bits(state: Any) -> Any:
    """A state with every tensor as its bytes, and without what the clock said."""
    match state:
        case Tensor():
            return state.dtype, tuple(state.shape), state.contiguous().numpy().tobytes()
        case dict():
            return {key: _bits(value) for key, value in state.items() if key not in ("seconds", "validation_seconds")}
        case list():
            return [_bits(value) for value in state]
    return state


# --- repeatability


@pytest.mark.parametrize(
    ("architecture", "precision"),
    [
        *((architecture, "fp32") for architecture in (*REAL, TOY)),
        *(pytest.param(architecture, "bf16", marks=FAST_BF16) for architecture in REAL),
        (SMALL, "bf16"),
        (TOY, "bf16"),
    ],
    ids=lambda part: getattr(part, "name", part),
)
def test_a_resumed_run_goes_on_bit_by_bit(architecture: Architecture, precision: str) -> None:
    # The documented networks make one step an epoch.
    data = training_data(noise(30 if architecture in REAL else 40))
    config = replace(SHORT, max_epochs=2, batch_size=32) if architecture in REAL else SHORT
    straight = _train(training_run(architecture, data, config, precision=precision))
    state = _stored(_train(training_run(architecture, data, config, precision=precision), 1).state_dict())
    resumed, before = training_run(architecture, data, config, precision=precision), _bits(state)
    resumed.load_state_dict(state)
    assert len(resumed.history) == 1
    _train(resumed)
    assert _bits(state) == before, "it can be taken up again"
    assert _bits(resumed.state_dict()) == _bits(straight.state_dict())
    assert _bits(resumed.best_weights()) == _bits(straight.best_weights())
    assert resumed.outcome == straight.outcome == "COMPLETE"


def test_a_state_that_does_not_say_so_can_be_captured_all_the_same() -> None:
    state = _stored(_train(training_run(), 1).state_dict())
    state["optimizer"]["param_groups"][0]["capturable"] = False
    resumed = training_run()
    resumed.load_state_dict(state)
    assert [group["capturable"] for group in resumed.state_dict()["optimizer"]["param_groups"]] == [True]


@contextmanager
def _busy_machine() -> Iterator[None]:
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "precision", "n_threads"),
    [
        (REAL[0], "fp32", 2),
        pytest.param(REAL[0], "bf16", 1, marks=FAST_BF16),
        (REAL[1], "fp32", 1),
        pytest.param(REAL[1], "bf16", 2, marks=FAST_BF16),
        (SMALL, "bf16", 2),
    ],
    ids=lambda part: getattr(part, "name", part),
)
def test_equal_seeds_give_equal_weights_on_a_busy_machine(
    architecture: Architecture, precision: str, n_threads: int
) -> None:
    torch.set_num_threads(n_threads)
    data, config = training_data(noise(30)), replace(SHORT, max_epochs=1, batch_size=32)
    alone = _train(training_run(architecture, data, config, precision=precision))
    with _busy_machine():
        beside = _train(training_run(architecture, data, config, precision=precision))
    assert _bits(alone.state_dict()) == _bits(beside.state_dict())


def _seeds(**changed: int) -> RunSeeds:
    return replace(RunSeeds(order=1, weights=2, dropout=3), **changed)


@pytest.mark.parametrize("changed", ["order", "weights", "dropout"])
def test_every_seed_counts(changed: str) -> None:
    data, config = training_data(noise(60)), replace(SHORT, max_epochs=1)
    one, other = (
        _train(TrainingRun(TOY, config, data, seeds, CPU, "fp32")) for seeds in (_seeds(), _seeds(**{changed: 9}))
    )
    assert _bits(one.best_weights()) != _bits(other.best_weights())


def test_every_epoch_has_an_order_of_its_own() -> None:
    seen: list[bytes] = []

    class Watching(ToyNet):
        def forward(self, images: Tensor) -> Tensor:
            if self.training:
                seen.append(images[:, 0, 0, 0].contiguous().numpy().tobytes())
            return super().forward(images)

    data = training_data(noise(60))
    _train(training_run(Architecture("watching", "", Watching, {"dropout": 0.0}), data, replace(SHORT, batch_size=100)))
    assert len(set(seen)) == len(seen) == 3
    sets = {tuple(np.sort(np.frombuffer(order, np.float32))) for order in seen}
    assert len(sets) == 1, "every training image once an epoch"
    assert len(next(iter(sets))) == len(data.split.train)


def test_every_epoch_has_dropout_masks_of_its_own() -> None:
    masks: list[bytes] = []

    class Watching(ToyNet):
        def forward(self, images: Tensor) -> Tensor:
            if self.training:
                masks.append(F.dropout(torch.ones(100), 0.5).numpy().tobytes())
            return super().forward(images)

    _train(training_run(Architecture("watching", "", Watching, {"dropout": 0.0}), config=SHORT))
    assert len(masks) == 3 * STEPS_AN_EPOCH
    assert len(set(masks)) == len(masks)


def test_global_random_states_are_left_as_they_were() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    _train(training_run())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]  # type: ignore[union-attr]


def test_the_global_seed_changes_nothing() -> None:
    torch.manual_seed(5)
    one = _train(training_run())
    torch.manual_seed(6)
    assert _bits(_train(training_run()).state_dict()) == _bits(one.state_dict())


def test_shared_arrays_may_be_read_only_and_stay_as_they_were() -> None:
    data = training_data(noise(60))
    arrays = (data.source.images, data.source.labels, data.split.train, data.split.validation)
    arrays += (data.statistics.mean, data.statistics.deviation)
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    _train(training_run(data=data))
    assert all(np.array_equal(array, copy) for array, copy in zip(arrays, before, strict=True))


# --- what a run learns


def _normalised(data: TrainingData, positions: np.ndarray) -> Tensor:
    pixels = data.source.images.astype(np.float64)
    train = pixels[data.split.train]
    scaled = (pixels[positions] - train.mean(axis=(0, 1, 2))) / train.std(axis=(0, 1, 2))
    return torch.from_numpy(scaled.transpose(0, 3, 1, 2).astype(np.float32).copy())


def _plain_loop(
    architecture: Architecture, data: TrainingData, config: TrainingConfig, seed: int, weights: dict[str, Tensor]
) -> list[tuple[float, float, float, float]]:
    """Return losses and accuracies of each epoch, training before validation, by PyTorch's textbook loop."""
    model = plain_network(architecture, data.n_classes, 0.0)
    model.load_state_dict(weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr)
    labels = torch.from_numpy(data.source.labels)
    rows = []
    for number in range(1, config.max_epochs + 1):
        model.train()
        order = np.random.default_rng(stream(RunSeeds.of(seed, "test").order, number)).permutation(data.split.train)
        losses, answers = [], []
        for start in range(0, len(order), config.batch_size):
            batch = order[start : start + config.batch_size]
            optimizer.zero_grad()
            logits = model(_normalised(data, batch))
            loss = F.cross_entropy(logits, labels[batch])
            loss.backward()
            optimizer.step()
            losses += [loss.item()] * len(batch)
            answers += (logits.argmax(1) == labels[batch]).tolist()
        model.eval()
        with torch.no_grad():
            logits = model(_normalised(data, data.split.validation))
        truth = labels[data.split.validation]
        of_validation = F.cross_entropy(logits, truth).item(), (logits.argmax(1) == truth).double().mean().item()
        rows.append((np.mean(losses), np.mean(answers), *of_validation))
    return rows


@pytest.mark.parametrize(
    "architecture", [pytest.param(REAL[0], marks=pytest.mark.slow), REAL[1], TOY], ids=lambda entry: entry.name
)
def test_a_plain_loop_gives_the_same(architecture: Architecture) -> None:
    data = training_data(coloured(50))
    # At the rate of the others AlexNet's losses magnify what rounding does to them.
    lr = 1e-4 if architecture.name == "alexnet" else 1e-3
    config = TrainingConfig({"lr": lr, "dropout": 0.0}, max_epochs=2, batch_size=20)
    run = training_run(architecture, data, config)
    expected = _plain_loop(architecture, data, config, 0, {n: w.clone() for n, w in run.best_weights().items()})
    _train(run)
    found = [(row.train_loss, row.train_accuracy, row.val_loss, row.val_accuracy) for row in run.history]
    np.testing.assert_allclose(found, expected, rtol=2e-3)
    assert [row.epoch for row in run.history] == [1, 2]
    assert all(row.seconds > 0 and row.validation_seconds > 0 for row in run.history)


@pytest.mark.parametrize(
    ("architecture", "precision"),
    [
        (ARCHITECTURES["mobilenet"], "fp32"),
        pytest.param(ARCHITECTURES["mobilenet"], "bf16", marks=FAST_BF16),
        (SMALL, "bf16"),
        (TOY, "fp32"),
        (TOY, "bf16"),
    ],
    ids=lambda part: getattr(part, "name", part),
)
def test_a_learnable_problem_is_learned(architecture: Architecture, precision: str) -> None:
    config = TrainingConfig({"lr": 1e-2, "dropout": 0.0}, max_epochs=6, batch_size=16)
    images = coloured(150 if architecture is TOY else 90)
    run = _train(training_run(architecture, training_data(images), config, precision=precision))
    best = best_epoch(run.history)
    assert best is not None
    assert best.val_accuracy >= 0.9
    assert run.history[-1].train_loss < 0.5 * run.history[0].train_loss


def test_dropout_is_that_of_the_configuration_and_off_in_validation() -> None:
    data = training_data(coloured(60))
    one, other = (
        _train(training_run(data=data, config=replace(SHORT, values={"lr": 1e-3, "dropout": dropout})), 1)
        for dropout in (0.0, 0.9)
    )
    assert one.history[0].train_loss != other.history[0].train_loss
    run = training_run(data=data, config=replace(SHORT, values={"lr": 1e-12, "dropout": 0.9}, max_epochs=1))
    initial, last = _recorded(run, data), _train(run).history[-1]
    assert initial == (pytest.approx(last.val_loss, rel=1e-4), last.val_accuracy)


# --- how a run ends


def _recorded(run: TrainingRun, data: TrainingData) -> tuple[float, float]:
    """Validation loss and accuracy of the network that the run would hand over."""
    images = DeviceImages(data.source.images, data.statistics, CPU)
    logits = predict_logits(run.best_model(), images, torch.from_numpy(data.split.validation), "fp32")
    labels = torch.from_numpy(data.source.labels[data.split.validation])
    return F.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).double().mean().item()


def test_out_of_patience_with_the_best_weights_restored() -> None:
    data = training_data(noise(80))
    run = _train(
        training_run(
            data=data, config=TrainingConfig({"lr": 3e-2, "dropout": 0.0}, max_epochs=60, patience=3, batch_size=16)
        )
    )
    best = best_epoch(run.history)
    assert best is not None
    assert run.outcome == "STOPPED_EARLY"
    assert run.history[-1].epoch == best.epoch + 3 < 60
    assert run.history[-1].val_loss > best.val_loss
    assert _recorded(run, data) == (pytest.approx(best.val_loss, rel=1e-6), best.val_accuracy)


def test_complete_at_the_cap() -> None:
    run = _train(training_run(config=replace(SHORT, max_epochs=2)))
    assert (run.outcome, len(run.history)) == ("COMPLETE", 2)
    assert not run.best_model().training
    with pytest.raises(RuntimeError, match="the run has ended: COMPLETE"):
        run.train_epoch()


def test_a_run_that_has_ended_is_ended_when_loaded() -> None:
    ended = _train(training_run())
    run = training_run()
    run.load_state_dict(_stored(ended.state_dict()))
    assert run.outcome == "COMPLETE"
    assert run.history == ended.history
    with pytest.raises(RuntimeError):
        run.train_epoch()


class Failing(ToyNet):
    """Gives `bad` logits from training step `after` on; in validation as well, or there alone."""

    def __init__(self, num_classes: int, dropout: float, after: int, bad: float, validation: bool) -> None:
        super().__init__(num_classes, dropout)
        self.register_buffer("steps", torch.zeros(()))
        self.after, self.bad, self.validation = after, bad, validation

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        self.steps += self.training
        fails = self.steps > self.after and self.training != self.validation
        return logits * (self.bad if fails else 1.0)


def _failing(after: int, bad: float = float("nan"), validation: bool = False) -> Architecture:
    def build(num_classes: int, dropout: float) -> nn.Module:
        return Failing(num_classes, dropout, after, bad, validation)

    return Architecture("failing", "", build, {"dropout": 0.0})


def _finite(weights: dict[str, Tensor]) -> bool:
    return all(bool(torch.isfinite(value).all()) for value in weights.values())


STEPS_AN_EPOCH = 4  # 54 images by 16


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("validation", [False, True])
def test_diverged_at_once_keeps_the_initial_weights(bad: float, validation: bool) -> None:
    data = training_data(noise(60))
    run = training_run(_failing(0, bad, validation), data)
    initial = _bits(run.best_weights())
    row = run.train_epoch()
    assert run.outcome == "DIVERGED"
    assert run.history == [row]
    assert not row.is_finite
    assert best_epoch(run.history) is None
    assert _bits(run.best_weights()) == initial
    assert _finite(run.best_model().state_dict())


def test_diverged_later_keeps_the_best_finite_weights() -> None:
    data = training_data(noise(60))
    run = _train(training_run(_failing(2 * STEPS_AN_EPOCH), data))
    assert run.outcome == "DIVERGED"
    assert [row.is_finite for row in run.history] == [True, True, False]
    best = best_epoch(run.history)
    assert best is not None
    assert _finite(run.best_weights())
    assert _recorded(run, data) == (pytest.approx(best.val_loss, rel=1e-6), best.val_accuracy)


def test_a_state_from_before_the_first_epoch_goes_on_too() -> None:
    straight, resumed = training_run(), training_run()
    resumed.load_state_dict(_stored(straight.state_dict()))
    assert _bits(resumed.best_weights()) == _bits(straight.best_weights())
    assert _bits(_train(resumed).state_dict()) == _bits(_train(straight).state_dict())


def test_a_diverged_run_is_diverged_when_loaded() -> None:
    ended = _train(training_run(_failing(STEPS_AN_EPOCH)))
    run = training_run(_failing(STEPS_AN_EPOCH))
    run.load_state_dict(_stored(ended.state_dict()))
    assert run.outcome == "DIVERGED"
    assert _bits(run.best_weights()) == _bits(ended.best_weights())


def test_a_learning_rate_beyond_reason_diverges_in_a_real_network() -> None:
    data = training_data(noise(40))
    run = _train(training_run(ARCHITECTURES["mobilenet"], data, replace(SHORT, values={"lr": 1e30, "dropout": 0.3})))
    assert run.outcome == "DIVERGED"
    assert _finite(run.best_weights())


def _history(*losses: float) -> list[EpochResult]:
    return [epoch(number, loss) for number, loss in enumerate(losses, start=1)]


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("history", "best", "outcome"),
    [
        ([], None, None),
        (_history(1.0), 1, None),
        (_history(2.0, 1.0, 3.0), 2, None),
        (_history(1.0, 1.0), 1, None),
        (_history(1.0, 1.0, 1.0), 1, "STOPPED_EARLY"),
        (_history(1.0, 1.0, 0.9, 1.0), 3, None),
        (_history(3.0, 2.5, 2.0, 1.5, 1.0), 5, "COMPLETE"),
        (_history(5.0, 4.0, 1.0, 3.0, 2.0), 3, "COMPLETE"),
        (_history(NAN), None, "DIVERGED"),
        (_history(1.0, INF), 1, "DIVERGED"),
        (_history(3.0, 2.0, 1.5, 1.4, NAN), 4, "DIVERGED"),
        ([epoch(1, 1.0), epoch(2, 0.5, train_loss=NAN)], 1, "DIVERGED"),
    ],
)
def test_outcomes_of_histories(history: list[EpochResult], best: int | None, outcome: str | None) -> None:
    found = best_epoch(history)
    assert (found.epoch if found else None) == best
    assert outcome_of(history, TrainingConfig({"lr": 1.0, "dropout": 0.0}, max_epochs=5, patience=2)) == outcome


# --- predictions and number formats


def test_predictions_do_not_depend_on_the_batches_they_are_made_in() -> None:
    data = training_data(noise(1100))
    model = TOY.build(3, {"dropout": 0.5})
    images = DeviceImages(data.source.images, data.statistics, CPU)
    found = predict_logits(model, images, torch.arange(len(images)), "fp32")
    assert not model.training
    with torch.no_grad():
        expected = model(_normalised(data, np.arange(1100)))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    picked = torch.tensor([1099, 3, 3])
    torch.testing.assert_close(predict_logits(model, images, picked, "fp32"), expected[picked], rtol=1e-4, atol=1e-5)


def test_bf16_predicts_in_float32() -> None:
    data = training_data(noise(30))
    images = DeviceImages(data.source.images, data.statistics, CPU)
    model = TOY.build(3, {"dropout": 0.0})
    logits = {
        "fp32": predict_logits(model, images, torch.arange(30), "fp32"),
        "bf16": predict_logits(model, images, torch.arange(30), "bf16"),
    }
    assert logits["bf16"].dtype == torch.float32
    assert not torch.equal(logits["bf16"], logits["fp32"])
    torch.testing.assert_close(logits["bf16"], logits["fp32"], rtol=0.05, atol=0.05)


def test_bf16_trains_in_bf16() -> None:
    exact, rounded = (training_run(precision=precision).train_epoch() for precision in ("fp32", "bf16"))
    assert exact.train_loss != rounded.train_loss
    assert rounded.train_loss == pytest.approx(exact.train_loss, rel=0.05)


@pytest.mark.parametrize("fast", [True, False])
def test_precision_auto_asks_the_processor(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": fast})
    assert resolve("auto", CPU) == ("bf16" if fast else "fp32")
    assert [resolve(name, CPU) for name in ("fp32", "bf16")] == ["fp32", "bf16"]
    with pytest.raises(ValueError, match="'fp8' is none of auto, fp32, bf16"):
        resolve("fp8", CPU)


@pytest.mark.parametrize("change", ["shape", "name"])
def test_a_state_of_another_network_is_refused_and_changes_nothing(change: str) -> None:
    state = _stored(_train(training_run(), 1).state_dict())
    weight = state["model"].pop("layers.2.weight")
    state["model"]["layers.2.weight" if change == "shape" else "layers.9.weight"] = weight[:4]
    run = training_run()
    before = _bits(run.state_dict())
    line = "layers.2.weight has shape 4x48, was 16x48" if change == "shape" else "it has no layers.2.weight"
    with pytest.raises(ValueError, match=f"a state of another network: {line}"):
        run.load_state_dict(state)
    assert _bits(run.state_dict()) == before


class Normalised(ToyNet):
    """Normalises three values of an image over the batch, which one image alone does not allow."""

    def __init__(self, num_classes: int, dropout: float) -> None:
        super().__init__(num_classes, dropout)
        self.layers = nn.Sequential(nn.AvgPool2d(32), nn.Flatten(), nn.BatchNorm1d(3), nn.Linear(3, num_classes))


def test_a_last_batch_of_one_image_is_left_out_if_the_network_cannot_be_trained_on_it() -> None:
    """90 images leave 81 for training: 5 batches of 16, and one image."""
    data = training_data(noise(90))
    assert len(data.split.train) == 81
    run = training_run(Architecture("normalised", "Normalised", Normalised), data, SHORT)
    steps: list[int] = []
    train_step = run._step._step
    run._step._step = lambda batch, change=None: (steps.append(len(batch)), train_step(batch, change))[1]  # type: ignore
    result = run.train_epoch()
    assert steps == [16] * 5
    assert result.train_accuracy in {correct / 80 for correct in range(81)}
    assert 0 < result.train_loss < 10
    whole = training_run(TOY, data, SHORT)
    assert whole.train_epoch().train_accuracy in {correct / 81 for correct in range(82)}
