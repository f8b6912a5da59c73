"""The training loop behind the search, the final runs and the baseline."""

import copy
import logging
import math
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.augmentation import draw_changes
from models.data import TrainingData
from models.kernels.available import use_kernels
from models.networks.inspection.attempts import trains_on_one_image
from models.networks.inspection.fingerprint import shape_difference, shapes
from models.networks.registry import Architecture
from models.precision import Precision
from models.randomness import RunSeeds, integer, seeded, stream
from models.training.history import EpochResult, Outcome, best_epoch, outcome_of
from models.training.inference import DeviceImages, predict_logits
from models.training.optimizer import learning_rate, make_optimizer
from models.training.proof import Setting, choose_kernels
from models.training.recipe import TrainingConfig
from models.training.step import TrainingStep, can_capture, side_stream


class TrainingRun:
    """Trains one network, an epoch at a time, with early stopping on the validation loss.

    The random numbers of epoch e depend on the run's seeds and e alone, so a run loaded from `state_dict` continues
    exactly as if it had not stopped. On a CPU, with the same number of torch threads, equal seeds give equal weights.

    Args:
        architecture: the network.
        config: the recipe.
        data: images, split and normalisation.
        seeds: seeds of data order, initial weights and dropout masks.
        device: device that trains.
        precision: number format of matrix products.
        kernels: "auto" uses the fast code of models/kernels if it proves itself here; "off" uses torch's layers.

    Attributes:
        history: one result an epoch, in order.
        outcome: None while the run can go on; COMPLETE at `max_epochs`, STOPPED_EARLY out of patience once it has
            made `grace_steps` steps, DIVERGED if a loss is not finite.
        kernels: the code that trains this run, "fast" or "torch", and the reason.
        statistics: mean and deviation that images are normalised with.
    """

    def __init__(
        self,
        architecture: Architecture,
        config: TrainingConfig,
        data: TrainingData,
        seeds: RunSeeds,
        device: torch.device,
        precision: Precision,
        kernels: Setting = "auto",
    ) -> None:
        self.history: list[EpochResult] = []
        self.outcome: Outcome | None = None
        self._config = config
        self._seeds = seeds
        self._device = device
        self.precision = precision
        self._start = architecture.start
        self.statistics = self._start.statistics(data.statistics)
        self._images = DeviceImages(data.source.images, self.statistics, device)
        self._labels = torch.from_numpy(data.source.labels.copy()).to(device)
        self._train = data.split.train
        self._steps_per_epoch = math.ceil(len(self._train) / config.batch_size)
        self._validation = torch.from_numpy(data.split.validation).to(device)
        with seeded(seeds.weights, device):
            model = architecture.build(data.n_classes, config.values)
        self._start.apply(model)
        self._model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        is_capturable = architecture.capturable and config.is_capturable and not self._start.freeze
        if architecture.capturable and not is_capturable and can_capture(device):
            logging.getLogger(__name__).warning(
                "%s trains without captured steps, which is slower: they need Adam, a constant learning rate, no"
                " augmentation and nothing frozen",
                architecture.name,
            )
        self.kernels = choose_kernels(
            architecture.name,
            self._model,
            data.n_classes,
            is_capturable,
            device,
            precision,
            kernels,
            data.source.image_size,
        )
        is_fast = self.kernels.path == "fast"
        use_kernels(self._model, is_fast)
        self._may_capture = is_capturable and is_fast
        trained = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        self._optimizer = make_optimizer(config, trained)
        self._step = self._new_step()
        self._best_weights = self._weights()

    def train_epoch(self) -> EpochResult:
        """Train and validate for one epoch; return its result. Raises RuntimeError if the run has ended."""
        if self.outcome is not None:
            raise RuntimeError(f"the run has ended: {self.outcome}")
        epoch = len(self.history) + 1
        start = time.perf_counter()
        train_loss, train_accuracy = self._train_pass(epoch)
        seconds = time.perf_counter() - start
        val_loss, val_accuracy = self._validate()
        validation_seconds = time.perf_counter() - start - seconds
        result = EpochResult(epoch, train_loss, val_loss, val_accuracy, seconds, validation_seconds, train_accuracy)
        self.history.append(result)
        if self._is_at_best():
            self._best_weights = self._weights()
        self.outcome = outcome_of(self.history, self._config, self._steps_per_epoch)
        return result

    def best_weights(self) -> dict[str, Tensor]:
        """Return the weights of the epoch of lowest validation loss; the initial ones before there is one."""
        return self._best_weights

    def best_model(self) -> torch.nn.Module:
        """Return a copy of the network with its best weights, in eval mode."""
        model: torch.nn.Module = copy.deepcopy(self._model)
        model.load_state_dict(self._best_weights)
        return model.eval()

    def state_dict(self) -> dict[str, Any]:
        """Return the state that `load_state_dict` continues from; torch.load(weights_only=True) can read it.

        Its tensors are the run's own: save the state before the next epoch.
        """
        return {
            "config": self._config.to_json(),
            "model": self._model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            # None if they are the model's: without a second copy a state is a quarter smaller.
            "best_weights": None if self._is_at_best() else self._best_weights,
            "history": [asdict(row) for row in self.history],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state of a run of the same network, configuration, data and seeds.

        Raises:
            ValueError: if the state is of another configuration or another network; the run is then unchanged.
        """
        if state["config"] != self._config.to_json():
            raise ValueError(f"a state of {state['config']}, not of {self._config.to_json()}")
        expected = shapes(self._model)
        for weights in (state["model"], state["best_weights"] or {}):
            found = {name: list(value.shape) for name, value in weights.items()}
            if weights and (line := shape_difference(found, expected)):
                raise ValueError(f"a state of another network: {line}")
        self._model.load_state_dict(state["model"])
        # The optimizer keeps the tensors that it is given, and training changes them.
        self._optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        for group in self._optimizer.param_groups:
            if "capturable" in group:
                group["capturable"] = True  # a state from an older version may say False
        self._step = self._new_step()
        best = state["best_weights"] or state["model"]
        self._best_weights = {name: value.to(self._device) for name, value in best.items()}
        self.history = [EpochResult(**row) for row in state["history"]]
        self.outcome = outcome_of(self.history, self._config, self._steps_per_epoch)

    def _is_at_best(self) -> bool:
        return bool(self.history) and best_epoch(self.history) is self.history[-1]

    def _train_pass(self, epoch: int) -> tuple[float, float]:
        self._model.train()
        self._start.hold(self._model)
        order = np.random.default_rng(stream(self._seeds.order, epoch)).permutation(self._train)
        batches = torch.from_numpy(order).to(self._device).split(self._config.batch_size)
        if len(batches[-1]) == 1 and not trains_on_one_image(self._model, self._images[batches[-1]]):
            batches, order = batches[:-1], order[:-1]
        chance = stream(self._seeds.order, "augmentation", epoch)
        drawn = draw_changes(self._config.augment, len(order), self._images.shape, chance)
        changes = [None] * len(batches) if drawn is None else drawn.to(self._device).split(self._config.batch_size)
        self._step.loss_sum.zero_()
        self._step.correct.zero_()
        with seeded(integer(stream(self._seeds.dropout, epoch), bits=64), self._device), side_stream(self._device):
            for number, (batch, change) in enumerate(zip(batches, changes, strict=True)):
                for group in self._optimizer.param_groups:
                    group["lr"] = learning_rate(self._config, epoch, number, len(batches))
                self._step(batch, change)
            # One read of both, because each read waits for the GPU.
            loss, correct = torch.stack((self._step.loss_sum, self._step.correct)).tolist()
            return loss / len(order), correct / len(order)

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
            self._may_capture,
            self._config.constant("label_smoothing"),
        )

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self._model.state_dict().items()}
