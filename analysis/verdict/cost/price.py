"""Says how much more one network costs than another: the time for one image, and the parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.verdict.summary_json import GroupSummary, TimesCompared
from analysis.verdict.wording import known

# At least this ratio is a difference, because a smaller one would be written as 1.0.
LEAST_RATIO = 1.05


def price(
    groups: Sequence[GroupSummary],
    titles: Sequence[str],
    device: str = "CPU",
    times: Mapping[str, TimesCompared] | None = None,
) -> str | None:
    """Describe the price of two networks in a sentence. It leaves out the time if that was not measured.

    Args:
        groups: the groups of the two networks.
        titles: the titles of the networks.
        device: the device on which the time was measured.
        times: the comparison of the times by runtime, as `compare_times` returns it.

    Returns:
        The sentence; None if the sizes of the networks are not known.
    """
    a, b = groups
    if a.parameters is None or b.parameters is None:
        return None
    both = f"{titles[0]} and {titles[1]}"
    large, larger = _ratio(a.parameters, b.parameters)
    size = f"{_times(larger)} as many parameters" if larger > 1 else "equally many parameters"
    if a.latency_ms.p50 is None or b.latency_ms.p50 is None:
        return f"{titles[large]} has {size} as {titles[1 - large]}." if larger > 1 else f"{both} have {size}."
    here, there = _in_pytorch(groups, times or {}), _in_onnx(groups, times or {})
    where = f"for one image on this study's {device}{_beside(here, there, titles, device)}"
    if here.slow is None:
        if larger == 1:
            return f"The price is equal: {both} take equally long {where} and have {size}."
        return f"{both} take equally long {where}, but {titles[large]} has {size}."
    slow, fast = titles[here.slow], titles[1 - here.slow]
    if here.is_processor_time:
        time = f"{slow} takes {_times(here.ratio)} the processor time of {fast}{here.interval} {where}"
    else:
        time = f"{slow} takes {_times(here.ratio)} as long as {fast}{here.interval} {where}"
    if larger == 1:
        return f"{time}. Both have {size}."
    return f"{time} and has {size}." if here.slow == large else f"{time}, but {titles[large]} has {size}."


@dataclass(frozen=True)
class _Slower:
    """Says which of two networks takes longer, 0 or 1, and how many times as long; None if both take equally long."""

    slow: int | None
    ratio: float = 1.0
    interval: str = ""
    is_processor_time: bool = False

    @classmethod
    def of(cls, compared: TimesCompared) -> "_Slower":
        """Judge the interval of the ratio: if it holds 1, or the ratio is small, both take equally long."""
        slow, ratio = _ratio(compared.ratio, 1.0)
        low, high = known(compared.ci95) or (ratio, ratio)
        if ratio == 1.0 or low <= 1 <= high:
            return cls(None)
        limits = (low, high) if slow == 0 else (1 / high, 1 / low)
        interval = f" (95 % interval {' to '.join(map(_short, limits))})" if known(compared.ci95) else ""
        return cls(slow, ratio, interval, compared.is_processor_time)


def _in_pytorch(groups: Sequence[GroupSummary], times: Mapping[str, TimesCompared]) -> _Slower:
    """Compare the times in PyTorch.

    If the rounds are not known, two times are equal if the median of the slower network is at most the 90 % quantile of
    the faster one.
    """
    if "pytorch" in times:
        return _Slower.of(times["pytorch"])
    a, b = (group.latency_ms.p50 for group in groups)
    assert a is not None and b is not None
    slow, slower = _ratio(a, b)
    late = groups[1 - slow].latency_ms.p90
    is_equal = slower == 1 or (late is not None and max(a, b) <= late)
    return _Slower(None) if is_equal else _Slower(slow, slower)


def _in_onnx(groups: Sequence[GroupSummary], times: Mapping[str, TimesCompared]) -> _Slower | None:
    """Compare the times in ONNX Runtime; None if they were not measured."""
    if "onnx" in times:
        return _Slower.of(times["onnx"])
    a, b = (group.onnx_latency_ms.p50 if group.onnx_latency_ms else None for group in groups)
    if a is None or b is None:
        return None
    slow, slower = _ratio(a, b)
    return _Slower(None) if slower == 1 else _Slower(slow, slower)


def _beside(here: _Slower, there: _Slower | None, titles: Sequence[str], device: str) -> str:
    """Describe the ratio of the times in ONNX Runtime, which runs on the CPU, in brackets."""
    if there is None:
        return ""
    where = "in ONNX Runtime" if device == "CPU" else "in ONNX Runtime on the CPU"
    if there.slow is None:
        return f" ({where} equally long)" if here.slow is not None else f" ({where} too)"
    times = _times(there.ratio)
    return (
        f" ({where} {times})" if there.slow == here.slow else f" ({where} {titles[there.slow]} takes {times} as long)"
    )


def _ratio(a: float, b: float) -> tuple[int, float]:
    """Return which of two costs is the higher one, 0 or 1, and how many times as high it is; 1.0 if they are equal."""
    ratio = max(a, b) / min(a, b)
    return int(b > a), ratio if ratio >= LEAST_RATIO else 1.0


def _times(ratio: float) -> str:
    return f"{_short(ratio)} times"


def _short(ratio: float) -> str:
    return f"{float(f'{ratio:.2g}'):,g}"
