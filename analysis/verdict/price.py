"""Says how much more one network costs than another: the time for one image, and the parameters."""

from collections.abc import Sequence

from analysis.verdict.summary_json import GroupSummary

# At least this ratio is a difference, because a smaller one would be written as 1.0.
LEAST_RATIO = 1.05


def price(groups: Sequence[GroupSummary], titles: Sequence[str], device: str = "CPU") -> str | None:
    """Describe the price of two networks in a sentence. It leaves out the time if that was not measured.

    Two times are equal if they are less than 5 % apart, or if the median of the slower network is at most the 90 %
    quantile of the faster one.

    Args:
        groups: the groups of the two networks.
        titles: the titles of the networks.
        device: the device on which the time was measured.

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
    slow, slower = _ratio(a.latency_ms.p50, b.latency_ms.p50)
    late = (b, a)[slow].latency_ms.p90
    is_equal = slower == 1 or (late is not None and max(a.latency_ms.p50, b.latency_ms.p50) <= late)
    here = f"for one image on this study's {device}{_in_onnx(groups, titles, None if is_equal else slow, device)}"
    if is_equal:
        if larger == 1:
            return f"The price is equal: {both} take equally long {here} and have {size}."
        return f"{both} take equally long {here}, but {titles[large]} has {size}."
    time = f"{titles[slow]} takes {_times(slower)} as long as {titles[1 - slow]} {here}"
    if larger == 1:
        return f"{time}. Both have {size}."
    return f"{time} and has {size}." if slow == large else f"{time}, but {titles[large]} has {size}."


def _in_onnx(groups: Sequence[GroupSummary], titles: Sequence[str], slow: int | None, device: str) -> str:
    """Describe the ratio of the times in ONNX Runtime, in brackets; nothing if it was not measured.

    Args:
        groups: the groups of the two networks.
        titles: the titles of the networks.
        slow: the network that takes longer in PyTorch, 0 or 1; None if both take equally long.
        device: the device of PyTorch. ONNX Runtime runs on the CPU.
    """
    a, b = (group.onnx_latency_ms.p50 if group.onnx_latency_ms else None for group in groups)
    if a is None or b is None:
        return ""
    where = "in ONNX Runtime" if device == "CPU" else "in ONNX Runtime on the CPU"
    slow_there, slower = _ratio(a, b)
    if slower == 1:
        return f" ({where} equally long)" if slow is not None else f" ({where} too)"
    times = _times(slower) if slow_there == slow else f"{titles[slow_there]} takes {_times(slower)} as long"
    return f" ({where} {times})"


def _ratio(a: float, b: float) -> tuple[int, float]:
    """Return which of two costs is the higher one, 0 or 1, and how many times as high it is; 1.0 if they are equal."""
    ratio = max(a, b) / min(a, b)
    return int(b > a), ratio if ratio >= LEAST_RATIO else 1.0


def _times(ratio: float) -> str:
    return f"{float(f'{ratio:.2g}'):,g} times"
