"""Statistics as pure functions of arrays and tables. `compare` is their public face."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.statistics.comparison import Comparison as Comparison
    from analysis.statistics.comparison import compare as compare


def __getattr__(name: str) -> Any:
    """Import `compare` and `Comparison` on first use, because a worker needs the metrics but not SciPy."""
    if name not in ("Comparison", "compare"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from analysis.statistics import comparison

    return getattr(comparison, name)
