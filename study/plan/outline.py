"""Says what a study will do: the lines that are known before torch and Ray are imported, and those after."""

from pathlib import Path

import psutil
from joblib import cpu_count

from analysis.numbers import listed
from analysis.statistics.calls import LOOKS
from models.data import IMAGE_SIZE
from study.plan.estimate import Interval
from study.settings.config import StudyConfig

_GIB = 2**30
# The driver of NVIDIA has a folder for each GPU here. It is readable without torch and takes no time.
_GPUS = Path("/proc/driver/nvidia/gpus")


def outline(config: StudyConfig) -> list[str]:
    """Return the lines of a plan that need no import: the networks, the stages, and the machine."""
    each = "of each network" if len(config.archs) > 1 else "of the network"
    data = config.dataset if config.data_dir is None else f"{config.dataset} in {config.data_dir}"
    images = "" if config.train_size is None else f", {config.train_size:,} training images"
    size = "" if config.image_size == IMAGE_SIZE else f", {config.image_size}x{config.image_size} pixels"
    lines = ["Plan:", _line("networks", ", ".join(config.archs)), _line("data", f"{data}{images}{size}")]
    if not config.baseline:
        lines.append(_line("search", f"{_count(config.trials, 'trial')} {each}, at most {_epochs(config)} each"))
        if config.confirm:
            leaders = min(config.confirm, config.trials)
            again = f"the {leaders} leading trials" if leaders > 1 else "the leading trial"
            lines.append(_line("confirmation", f"{again} {each} again, on fresh seeds"))
    runs = len(config.archs) * config.seed_range[1] * (1 if config.baseline else 2)
    variants = f"baseline, at most {_epochs(config)} each" if config.baseline else "tuned and baseline"
    most = "" if config.baseline else "at most "
    seeds = (
        f"{listed([*LOOKS]).replace(' and', ' or')} seeds" if config.seeds == "auto" else _count(config.seeds, "seed")
    )
    lines.append(_line("final runs", f"{seeds} {each}, {variants}: {most}{_count(runs, 'run')}"))
    if config.seeds == "auto":
        lines.append(_line("looks", f"after {listed([*LOOKS])} seeds, until every pair of networks is decided"))
    lines.append(_line("machine", _machine() if config.address is None else f"the Ray cluster at {config.address}"))
    return lines


def details(folder: Path, concurrency: int, cpus: float, gpus: float, precision: str) -> list[str]:
    """Return the lines of a plan that need the imports: the runs at a time, and the study's folder.

    Args:
        cpus: processors of each run.
        gpus: GPUs, or the share of one, of each run; 0 without a GPU.
    """
    cores = f"{cpus:g} {'core' if cpus <= 1 else 'cores'}"
    share = f" and {gpus:g} of a GPU" if gpus else ""
    return [
        _line("at a time", f"{_count(concurrency, 'run')}, each with {cores}{share}"),
        _line("precision", precision),
        _line("results", str(folder)),
    ]


def time_line(seconds: Interval | None) -> str:
    """Return the line of a plan about its time; None if it cannot be estimated."""
    if seconds is None:
        return _line("time", "unknown, because a training step of a network failed here")
    return _line("time", f"{describe_range(seconds)}, by a short test of one training step")


def budget_line(text: str) -> str:
    """Return the line of a plan about its budget."""
    return _line("budget", text)


def describe_range(seconds: Interval) -> str:
    """Return a range of time in the unit of its high end, such as "20 to 50 min"."""
    for unit, size in (("s", 1), ("min", 60), ("h", 3600)):
        if seconds.high < 120 * size or unit == "h":
            low, high = (_rounded(value / size) for value in (seconds.low, seconds.high))
            return f"about {high} {unit}" if low == high else f"{low} to {high} {unit}"
    raise AssertionError


def _rounded(number: float) -> str:
    """Round to two digits; a range promises no more."""
    if number < 10:
        return f"{max(number, 0.1):.1f}".removesuffix(".0")
    return f"{float(f'{number:.2g}'):.0f}"


def _line(name: str, text: str) -> str:
    return f"  {name:<14}{text}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _epochs(config: StudyConfig) -> str:
    return _count(config.max_epochs, "epoch")


def _machine() -> str:
    memory = psutil.virtual_memory()
    gpus = [_gpu_name(folder) for folder in sorted(_GPUS.iterdir())] if _GPUS.is_dir() else []
    shown = ", ".join(f"{gpus.count(name)} x {name}" for name in dict.fromkeys(gpus)) or "no NVIDIA GPU"
    return (
        f"{_count(cpu_count(), 'core')}, {memory.total / _GIB:.0f} GiB of memory ({memory.available / _GIB:.0f} free),"
        f" {shown}"
    )


def _gpu_name(folder: Path) -> str:
    """Return the model that NVIDIA's driver names in its information file."""
    for line in (folder / "information").read_text(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name == "Model":
            return value.strip()
    return "NVIDIA GPU"
