"""Recipes: each trains as torch's own classes do in a plain loop, to the bit, and goes on to the bit when resumed."""

import io
import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.augmentation import change_images, draw_changes
from models.data import TrainingData
from models.networks.registry import Architecture
from models.randomness import RunSeeds, stream
from models.training import loop, step
from models.training.inference import DeviceImages
from models.training.optimizer import learning_rate
from models.training.recipe import TrainingConfig
from tests.builders import CPU, TOY, ToyNet, bits, noise, train, training_data, training_run

DOCUMENTED = TrainingConfig({"lr": 1e-2, "dropout": 0.0}, max_epochs=3, batch_size=16)
CLASSIC = replace(
    DOCUMENTED,
    optimizer="sgd",
    nesterov=True,
    weight_decay=5e-4,
    label_smoothing=0.1,
    schedule="cosine",
    warmup_epochs=1,
    augment="flip_crop",
)
RECIPES = {
    "documented": DOCUMENTED,
    "adam, decay": replace(DOCUMENTED, weight_decay=0.1, augment="flip"),
    "adamw": replace(DOCUMENTED, optimizer="adamw", weight_decay=0.1),
    "sgd": replace(DOCUMENTED, optimizer="sgd", momentum=0.5, warmup_epochs=2),
    "sgd, no momentum": replace(DOCUMENTED, optimizer="sgd", momentum=0.0, nesterov=True),
    "classic": CLASSIC,
}
Recipes = pytest.mark.parametrize("config", list(RECIPES.values()), ids=list(RECIPES))


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _optimizer(config: TrainingConfig, model: nn.Module) -> torch.optim.Optimizer:
    decay, parameters = config.weight_decay, model.parameters()
    match config.optimizer:
        case "adam":
            return torch.optim.Adam(parameters, config.lr, weight_decay=decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(parameters, config.lr, weight_decay=decay, fused=True)
    nesterov = config.nesterov and config.momentum > 0
    return torch.optim.SGD(parameters, config.lr, config.momentum, weight_decay=decay, nesterov=nesterov, fused=True)


def _factor(config: TrainingConfig, done: int, steps: int) -> float:
    if done < config.warmup_epochs * steps:
        return (done + 1) / (config.warmup_epochs * steps)
    share = (done - config.warmup_epochs * steps) / ((config.max_epochs - config.warmup_epochs) * steps)
    return 1.0 if config.schedule == "constant" else (1 + math.cos(math.pi * share)) / 2


def _plain_loop(
    data: TrainingData, config: TrainingConfig, weights: dict[str, Tensor]
) -> tuple[dict[str, Tensor], list[float]]:
    """Train the toy network by PyTorch's textbook loop; return its weights and the validation losses."""
    model = ToyNet(data.n_classes, 0.0)
    model.load_state_dict(weights)
    optimizer = _optimizer(config, model)
    images, labels = DeviceImages(data.source.images, data.statistics, CPU), torch.from_numpy(data.source.labels)
    seeds, validation = RunSeeds.of(0, "test"), torch.from_numpy(data.split.validation)
    losses, done = [], 0
    for epoch in range(1, config.max_epochs + 1):
        order = np.random.default_rng(stream(seeds.order, epoch)).permutation(data.split.train)
        changes = draw_changes(config.augment, len(order), (32, 32), stream(seeds.order, "augmentation", epoch))
        steps = math.ceil(len(order) / config.batch_size)
        for start in range(0, len(order), config.batch_size):
            part = slice(start, start + config.batch_size)
            batch = torch.from_numpy(order[part])
            inputs = images[batch] if changes is None else change_images(images[batch], changes[part])
            optimizer.param_groups[0]["lr"] = config.lr * _factor(config, done, steps)
            optimizer.zero_grad()
            F.cross_entropy(model(inputs), labels[batch], label_smoothing=config.label_smoothing).backward()
            optimizer.step()
            done += 1
        with torch.no_grad():
            losses.append(F.cross_entropy(model(images[validation]), labels[validation]).item())
    return model.state_dict(), losses


@Recipes
def test_a_recipe_is_a_plain_loop_to_the_bit(config: TrainingConfig) -> None:
    data = training_data(noise(60))
    run = training_run(data=data, config=replace(config, patience=9))
    weights, losses = _plain_loop(data, config, {name: value.clone() for name, value in run.best_weights().items()})
    train(run)
    found = run.state_dict()["model"]
    assert bits(found) == bits(weights)
    assert [row.val_loss for row in run.history] == losses


@Recipes
def test_a_resumed_run_goes_on_bit_by_bit(config: TrainingConfig) -> None:
    straight, first, resumed = (training_run(config=config) for _ in range(3))
    first.train_epoch()
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    train(resumed), train(straight)
    assert bits(resumed.state_dict()["model"]) == bits(straight.state_dict()["model"])
    assert [row.train_loss for row in resumed.history] == [row.train_loss for row in straight.history]


@pytest.mark.parametrize(("name", "value"), [("weight_decay", 0.1), ("momentum", 0.1), ("label_smoothing", 0.3)])
def test_a_value_takes_the_place_of_the_constant(name: str, value: float) -> None:
    by_value = train(training_run(config=replace(CLASSIC, values={**CLASSIC.values, name: value})))
    by_constant = train(training_run(config=replace(CLASSIC, **{name: value})))
    neither = train(training_run(config=CLASSIC))
    assert bits(by_value.best_weights()) == bits(by_constant.best_weights()) != bits(neither.best_weights())


@pytest.mark.parametrize(
    "changed",
    [
        {"optimizer": "adamw"},
        {"nesterov": False},
        {"augment": "flip"},
        {"warmup_epochs": 0},
        {"values": {**CLASSIC.values, "weight_decay": 1e-4}},
    ],
    ids=str,
)
def test_a_state_of_another_recipe_is_refused(changed: dict[str, Any]) -> None:
    state = training_run(config=replace(CLASSIC, **changed)).state_dict()
    with pytest.raises(ValueError, match=r"a state of \{.*\}, not of \{.*\}"):
        training_run(config=CLASSIC).load_state_dict(state)


def test_learning_rates_of_a_schedule() -> None:
    config = TrainingConfig({"lr": 0.8}, max_epochs=5, schedule="cosine", warmup_epochs=1)
    rates = [learning_rate(config, epoch, number, 4) for epoch in range(1, 6) for number in range(4)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])
    assert rates[12] == pytest.approx(0.4), "half of it in the middle of the fall"
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert 0 < rates[-1] < 0.01
    constant = replace(config, schedule="constant")
    assert [learning_rate(constant, epoch, 0, 4) for epoch in (1, 2, 5)] == pytest.approx([0.2, 0.8, 0.8])
    short = replace(config, max_epochs=1, warmup_epochs=2)
    assert [learning_rate(short, 1, number, 2) for number in range(2)] == pytest.approx([0.2, 0.4])


@pytest.mark.parametrize("augment", ["flip", "flip_crop"])
def test_training_images_change_every_epoch_and_validation_images_never(augment: str) -> None:
    seen: dict[bool, list[bytes]] = {True: [], False: []}

    class Watching(ToyNet):
        def forward(self, images: Tensor) -> Tensor:
            seen[self.training].append(images.numpy().tobytes())
            return super().forward(images)

    data = training_data(noise(60))
    changed: Any = {"augment": augment, "batch_size": 100}
    train(training_run(Architecture("watching", "", Watching, {}), data, replace(DOCUMENTED, **changed)))
    images = DeviceImages(data.source.images, data.statistics, CPU)
    assert set(seen[False]) == {images[torch.from_numpy(data.split.validation)].numpy().tobytes()}
    assert len(set(seen[True])) == 3
    one, other = (training_run(config=replace(DOCUMENTED, **changed), seed=seed) for seed in (0, 1))
    assert one.train_epoch().train_loss != other.train_epoch().train_loss


@pytest.mark.parametrize(
    "changed", [{"optimizer": "sgd"}, {"schedule": "cosine"}, {"warmup_epochs": 1}, {"augment": "flip"}], ids=str
)
def test_steps_that_a_gpu_cannot_replay_are_not_captured_and_said_so(
    changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("a step was captured")

    for module in (loop, step):
        monkeypatch.setattr(module, "can_capture", lambda device: True)
    monkeypatch.setattr(step.TrainingStep, "_capture", forbidden)
    architecture = replace(TOY, capturable=True)
    with caplog.at_level(logging.WARNING):
        train(training_run(architecture, training_data(noise(120)), replace(DOCUMENTED, **changed)))
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("toy trains without captured steps")
