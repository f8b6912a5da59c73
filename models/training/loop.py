"""How one network is trained: the one loop behind the search, the final runs and the baseline."""

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.data import TrainingData
from models.networks.registry import Architecture
from models.precision import Precision
from models.randomness import RunSeeds, integer, stream
from models.training.history import EpochResult, Outcome, best_epoch, outcome_of
from models.training.inference import DeviceImages, predict_logits
from models.training.optimizer import Adam
from models.training.recipe import TrainingConfig
from models.training.step import TrainingStep


class TrainingRun:
    """One training run, an epoch at a time, with early stopping on the validation loss.

    Everything random in epoch e is drawn from the run's seeds and e alone, so a run loaded from `state_dict` goes
    on exactly as it would have. On a CPU, with the same number of torch threads, equal seeds give equal weights.

    Attributes:
        history: one result an epoch, in order.
        outcome: None while the run can go on; COMPLETE at `max_epochs`, STOPPED_EARLY out of patience, DIVERGED
            when a loss is not finite.
    """

    def __init__(
        self,
        architecture: Architecture,
        config: TrainingConfig,
        data: TrainingData,
        seeds: RunSeeds,
        device: torch.device,
        precision: Precision,
    ) -> None:
        self.history: list[EpochResult] = []
        self.outcome: Outcome | None = None
        self._config = config
        self._is_capturable = architecture.capturable
        self._seeds = seeds
        self._device = device
        self.precision = precision
        self._images = DeviceImages(data.source.images, data.statistics, device)
        self._labels = torch.from_numpy(data.source.labels.copy()).to(device)
        self._train = data.split.train
        self._validation = torch.from_numpy(data.split.validation).to(device)
        with _seeded(seeds.weights, device):
            model = architecture.build(data.n_classes, config.dropout)
        self._model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = Adam(self._model.parameters(), lr=config.lr, fused=True, capturable=True)
        self._step = self._new_step()
        self._best_weights = self._weights()

    def train_epoch(self) -> EpochResult:
        """Trains and validates for one epoch. Raises RuntimeError if the run has ended."""
        if self.outcome is not None:
            raise RuntimeError(f"the run has ended: {self.outcome}")
        epoch = len(self.history) + 1
        start = time.perf_counter()
        train_loss = self._train_pass(epoch)
        seconds = time.perf_counter() - start
        val_loss, val_accuracy = self._validate()
        validation_seconds = time.perf_counter() - start - seconds
        result = EpochResult(epoch, train_loss, val_loss, val_accuracy, seconds, validation_seconds)
        self.history.append(result)
        if self._is_at_best():
            self._best_weights = self._weights()
        self.outcome = outcome_of(self.history, self._config)
        return result

    def best_weights(self) -> dict[str, Tensor]:
        """The weights of the epoch of lowest validation loss; the initial ones before there is one."""
        return self._best_weights

    def best_model(self) -> torch.nn.Module:
        """A copy of the network with its best weights, in eval mode."""
        model: torch.nn.Module = copy.deepcopy(self._model)
        model.load_state_dict(self._best_weights)
        return model.eval()

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on exactly; readable with torch.load(weights_only=True).

        Its tensors are the run's own: save it before training on.
        """
        return {
            "config": self._config.to_json(),
            "model": self._model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            # Those of the newest epoch are the model's; without a copy of them a state is a quarter smaller.
            "best_weights": None if self._is_at_best() else self._best_weights,
            "history": [asdict(row) for row in self.history],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up a state of a run of the same architecture, configuration, data and seeds.

        Raises ValueError if it is of another configuration.
        """
        if state["config"] != self._config.to_json():
            raise ValueError(f"a state of {state['config']}, not of {self._config.to_json()}")
        self._model.load_state_dict(state["model"])
        # Which takes the tensors themselves, and training changes them.
        self._optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        for group in self._optimizer.param_groups:
            group["capturable"] = True  # whatever made the state
        self._step = self._new_step()
        best = state["best_weights"] or state["model"]
        self._best_weights = {name: value.to(self._device) for name, value in best.items()}
        self.history = [EpochResult(**row) for row in state["history"]]
        self.outcome = outcome_of(self.history, self._config)

    def _is_at_best(self) -> bool:
        return bool(self.history) and best_epoch(self.history) is self.history[-1]

    def _train_pass(self, epoch: int) -> float:
        self._model.train()
        order = np.random.default_rng(stream(self._seeds.order, epoch)).permutation(self._train)
        batches = torch.from_numpy(order).to(self._device).split(self._config.batch_size)
        self._step.loss_sum.zero_()
        with _seeded(integer(stream(self._seeds.dropout, epoch), bits=64), self._device), _side_stream(self._device):
            for batch in batches:
                self._step(batch)
            return self._step.loss_sum.item() / len(order)

    def _validate(self) -> tuple[float, float]:
        logits = predict_logits(self._model, self._images, self._validation, self.precision)
        labels = self._labels[self._validation]
        loss = F.cross_entropy(logits, labels).item()
        return loss, (logits.argmax(dim=1) == labels).double().mean().item()

    def _new_step(self) -> TrainingStep:
        return TrainingStep(
            self._model,
            self._optimizer,
            self._images,
            self._labels,
            self.precision,
            self._config.batch_size,
            self._is_capturable,
        )

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self._model.state_dict().items()}


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seeds torch's global generators inside the block and gives them their former state back after it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def _side_stream(device: torch.device) -> Iterator[None]:
    """On a GPU, runs the block in another stream than the default one, which cannot be captured."""
    if device.type != "cuda":
        yield
        return
    stream, default = _stream_of(device), torch.cuda.current_stream(device)
    stream.wait_stream(default)
    with torch.cuda.stream(stream):
        yield
    default.wait_stream(stream)


@cache
def _stream_of(device: torch.device) -> torch.cuda.Stream:
    """One a process, since memory that was freed serves only the stream it was used in."""
    return torch.cuda.Stream(device)
