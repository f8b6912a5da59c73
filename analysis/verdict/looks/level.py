"""The confidence of a study's comparisons, which a look raises, and the looks in words."""

from analysis.numbers import listed, number
from analysis.results.study_json import Study
from analysis.statistics.calls import CONFIDENCE
from analysis.verdict.wording import error_in_percent, level


def confidence_of(study: Study, n_seeds: int) -> float:
    """Return the confidence of a study's comparison of this many seeds. A look has its own."""
    alpha = study.alpha(n_seeds)
    return CONFIDENCE if alpha is None else 1 - alpha


def looks_in_words(study: Study) -> str:
    """Say at which numbers of seeds a study looks, and which look this is; empty if the number was fixed beforehand."""
    if (looks := study.looks) is None:
        return ""
    seeds = listed([str(look.seeds) for look in looks.plan])
    errors = listed([number(100 * look.alpha, ".2g") for look in looks.plan])
    here = confidence_of(study, looks.reached)
    pairs = "the call" if len(study.architectures) == 2 else "the call of every pair"
    return (
        f"The number of seeds was not fixed: the study looks at {seeds} seeds and stops once {pairs} is better or"
        f" equivalent. These looks err in at most {errors} % of studies. This is the look at {looks.reached} seeds, so"
        f" intervals of a difference are {level(here)} intervals, and tests are at {error_in_percent(here)} %."
    )
