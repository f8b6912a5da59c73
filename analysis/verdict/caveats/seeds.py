"""Says in sentences how the number of seeds limits a verdict."""

from collections.abc import Iterator

from analysis.numbers import percent
from analysis.results.load import StudyResults
from analysis.statistics.comparison import LEAST_SEEDS
from analysis.verdict.caveats.counts import deciding_groups, has_added_seeds, unseen_mishaps
from analysis.verdict.failed_runs import failed_seeds
from analysis.verdict.summary_json import Caveat, Grade

# The share of simulated studies without a difference that name a winner if seeds are added, from 5 to 10 to 20, until
# one shows, and with `--seeds auto` (benchmarks/RESULTS.md, "seeds far apart").
WRONG_IF_ADDED, WRONG_IF_PLANNED = 0.09, 0.04


def of_few_seeds(results: StudyResults) -> Iterator[Caveat]:
    """Yield a limit if few seeds are planned, and one if some of them are not there."""
    planned = results.study.planned_seeds
    if _is_compared(results) and planned < LEAST_SEEDS:
        text = (
            f"{planned} seed{' is' if planned == 1 else 's are'} too few to show a difference. At least {LEAST_SEEDS}"
            f" are needed. Resume the study with --seeds {LEAST_SEEDS}."
        )
        yield Caveat.grave(text, "because there are too few seeds")
    if any(len(group.runs) < planned for group in results.groups.values()):
        is_grave = _is_compared(results) and any(len(one.runs) < planned for one in deciding_groups(results.groups))
        text = (
            "Some planned seeds are not there yet. The intervals and p values hold for the planned number of seeds: if"
            " you look again and again and stop once something shows, you will be wrong more often than they say."
        )
        yield Caveat.grave(text, "but some seeds are not there yet", is_grave)


def of_added_seeds(results: StudyResults) -> Iterator[Caveat]:
    """Yield a limit if a session that resumed the study added seeds."""
    if has_added_seeds(results.study.resumed or ()):
        text = (
            "Seeds were added when the study was resumed. The intervals and p values hold for a number of seeds settled"
            " beforehand. If seeds are added from 5 to 10 to 20 until a difference shows,"
            f" {percent(WRONG_IF_ADDED, 0)} % of simulated studies without a difference name a winner. --seeds auto"
            f" plans these looks beforehand, and names one in {percent(WRONG_IF_PLANNED, 0)} %."
        )
        yield Caveat(grade=Grade.WEAKENS, text=text)


def of_unseen_mishaps(results: StudyResults) -> Iterator[Caveat]:
    """Yield a limit if no run failed: how often a run may fail without a failure in this many."""
    seeds = min((len(group.runs) for group in results.groups.values()), default=0)
    if seeds > 1 and not any(failed_seeds(group) for group in results.groups.values()):
        text = (
            f"{seeds} runs cannot rule out that up to {percent(unseen_mishaps(seeds), 0)} % of a network's runs go"
            " wrong in a way that no run of this study did, such as a collapse (95 % limit). The intervals do not cover"
            " that."
        )
        yield Caveat(grade=Grade.WEAKENS, text=text)


def _is_compared(results: StudyResults) -> bool:
    return not results.study.config.baseline and len(results.architectures) > 1
