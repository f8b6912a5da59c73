"""When a study ran, for how long, and with which code: its provenance in words."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from analysis.results.load import StudyResults
from analysis.results.run_folders import FinalRun

_KERNELS = {"fast": "the fast code of this project", "torch": "torch's layers"}


@dataclass(frozen=True)
class Times:
    """Holds when a study ran.

    Attributes:
        begun: date and time in UTC.
        ended: date and time in UTC at which its last run ended; empty if its version did not keep that.
        elapsed: the time between the two, in words; empty if `ended` is.
        training: the sum of the training time of all its runs, in words.
    """

    begun: str
    ended: str
    elapsed: str
    training: str


def times(results: StudyResults) -> Times:
    """Return when the study ran, from its own records."""
    runs = [*results.confirmations, *_final_runs(results)]
    begun = datetime.fromisoformat(results.study.created)
    moments = [datetime.fromisoformat(run.metrics["ended"]) for run in runs if run.metrics.get("ended")]
    seconds = float(results.trials["seconds"].sum()) if len(results.trials) else 0.0
    seconds += sum(float(run.history["seconds"].sum()) for run in runs)
    ended = max(moments, default=None)
    return Times(
        begun=_moment(begun),
        ended=_moment(ended) if ended else "",
        elapsed=duration((ended - begun).total_seconds()) if ended else "",
        training=duration(seconds),
    )


def kernels_used(results: StudyResults) -> str:
    """Say which code trained the final runs; empty if the version of the study did not keep that."""
    counts = Counter(run.metrics["kernels"] for run in _final_runs(results) if "kernels" in run.metrics)
    total = counts.total()
    said = [f"{_KERNELS.get(path, path)} in {count} of {total} final runs" for path, count in counts.most_common()]
    return ", ".join(said)


def duration(seconds: float) -> str:
    """Write a duration in its two largest units: "2 h 5 min"."""
    whole = max(0, round(seconds))
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def _final_runs(results: StudyResults) -> list[FinalRun]:
    return list(chain.from_iterable(group.runs for group in results.groups.values() if not group.same_as))


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
