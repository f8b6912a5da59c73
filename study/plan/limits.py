"""The limits of --max-parameters and --max-latency-ms: which configurations of a network a study may try."""

import logging
import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch import nn

from analysis.results.study_json import is_of_network
from models.data import IMAGE_SIZE
from models.networks.hyperparameters import Value
from models.networks.inspection.cost import count_parameters
from models.networks.registry import Architecture
from models.precision import training_device
from models.randomness import seeded
from study.errors import BadInput, one_line
from study.settings.config import StudyConfig
from study.settings.networks import architecture_of, baseline_of, space_of

# At most 60 predictions and 1 s, but at least 5 predictions: the driver hands out no other trial meanwhile.
_CALLS = 60
_LEAST_CALLS = 5
_SECONDS = 1.0
_WARM_UP_CALLS = 5
_CPU = torch.device("cpu")

Allows = Callable[[Mapping[str, Value]], bool]
Measure = Callable[[nn.Module], float]


def check_baselines(config: StudyConfig, n_classes: int) -> None:
    """Raise BadInput if the network of a baseline is above a limit of the study."""
    for arch in config.archs:
        if excess := Sizes(config, arch, n_classes).excess(baseline_of(config, arch).values):
            raise BadInput(
                f"the baseline of {arch!r} has {excess}: raise the limit, or choose a smaller baseline or network"
            )


def allowances(config: StudyConfig, n_classes: int) -> dict[str, Allows]:
    """Return a predicate for each network whose size depends on its configuration: is the configuration below limits?

    Every other network has the size of its baseline. Without limits there are no predicates.
    """
    if config.max_parameters is None and config.max_latency_ms is None:
        return {}
    resized = [arch for arch in config.archs if any(map(is_of_network, space_of(config, arch).ranges))]
    return {arch: Sizes(config, arch, n_classes).allow for arch in resized}


class Sizes:
    """Counts the parameters and times the predictions of a network's configurations.

    Configurations that build the same network are measured once, so that they are all tried or none is. A proposal
    that was let through is kept in the study's journal, and is not measured again when the study is resumed.

    Args:
        config: the study's settings.
        arch: name of the network.
        n_classes: number of logits.
        measure: returns the milliseconds of a prediction of one image; `median_ms` if None.
    """

    def __init__(self, config: StudyConfig, arch: str, n_classes: int, measure: Measure | None = None) -> None:
        self._config = config
        self._architecture = architecture_of(config, arch)
        self._n_classes = n_classes
        self._measure = measure or self._median_ms
        self._known: dict[tuple[tuple[str, Value], ...], str | None] = {}

    def allow(self, values: Mapping[str, Value]) -> bool:
        """Return whether the network of a configuration is within the limits."""
        return self.excess(values) is None

    def excess(self, values: Mapping[str, Value]) -> str | None:
        """Return what a configuration's network has too much of, with the limit; None if it is within the limits.

        A network that cannot be measured is not above a limit: a warning says why, and its trial fails.
        """
        key = tuple(sorted((name, value) for name, value in values.items() if is_of_network(name)))
        if key not in self._known:
            try:
                self._known[key] = self._find_excess(values)
            except Exception as error:  # a network is the user's code and may raise anything
                told = ", ".join(f"{name}={value!r}" for name, value in key)
                logging.getLogger(__name__).warning(
                    "%s with %s cannot be measured: %s", self._architecture.name, told, one_line(error)
                )
                self._known[key] = None
        return self._known[key]

    def _find_excess(self, values: Mapping[str, Value]) -> str | None:
        most, longest = self._config.max_parameters, self._config.max_latency_ms
        if most is not None and (parameters := _parameters(self._architecture, self._n_classes, values)) > most:
            return f"{parameters:,} parameters, above --max-parameters {most:,}"
        if longest is not None:
            with seeded(0, _CPU):
                model = self._architecture.build(self._n_classes, values)
            if (latency := self._measure(model)) > longest:
                return (
                    f"an inference time of {latency:.3g} ms for one image on this machine, above --max-latency-ms"
                    f" {longest:g}"
                )
        return None

    def _median_ms(self, model: nn.Module) -> float:
        device = _CPU if self._config.gpus_per_trial == 0 else training_device()
        threads = max(1, int(self._config.cpus_per_trial or 1))
        return median_ms(model, device, threads, self._config.image_size)


@torch.inference_mode()
def median_ms(model: nn.Module, device: torch.device, threads: int, image_size: int = IMAGE_SIZE) -> float:
    """Time predictions of one image in eval mode, in float32, channels last; return the median in milliseconds.

    On a CPU with one thread the thread's processor time counts, because training runs may hold the processors.

    Args:
        threads: torch's threads on a CPU.
        image_size: pixels of a side of the image.
    """
    clock = time.thread_time if device.type == "cpu" and threads == 1 else time.perf_counter
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        model = model.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        image = torch.zeros(1, 3, image_size, image_size, device=device).contiguous(memory_format=torch.channels_last)
        seconds: list[float] = []
        begun = time.perf_counter()
        for call in range(_WARM_UP_CALLS + _CALLS):
            start = clock()
            model(image)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if call >= _WARM_UP_CALLS:
                seconds.append(clock() - start)
            if len(seconds) >= _LEAST_CALLS and time.perf_counter() - begun > _SECONDS:
                break
    finally:
        torch.set_num_threads(threads_before)
    return 1e3 * statistics.median(seconds)


def _parameters(architecture: Architecture, n_classes: int, values: Mapping[str, Value]) -> int:
    """Count the parameters of a network: on torch's meta device, which takes no memory, if its factory allows it."""
    with seeded(0, _CPU):
        try:
            with torch.device("meta"):
                model = architecture.build(n_classes, values)
        except Exception:  # a factory may need real tensors, as for the weights that it loads
            model = architecture.build(n_classes, values)
    return count_parameters(model)
