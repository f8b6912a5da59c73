"""The importance of each hyperparameter in a search, computed by Optuna."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from analysis.results.optuna_database import open_database

# At least this many trials, because with fewer the shares are like the shares of scores in random order.
LEAST_TRIALS = 16


@dataclass(frozen=True)
class Importance:
    """Holds the importance of each hyperparameter in one search.

    Attributes:
        trials: number of trials with a score. A trial that a rung stopped counts with its last score: it was stopped
            because of its hyperparameters, so without it the shares may say the opposite.
        shares: each hyperparameter's share of the variance of the score, summing to 1; empty if unknown.
        reason: why the shares are unknown.
    """

    trials: int = 0
    shares: dict[str, float] = field(default_factory=dict)
    reason: str = ""


def read_importances(database: Path, architectures: Iterable[str]) -> dict[str, Importance]:
    """Compute importance by fANOVA (Hutter, Hoos and Leyton-Brown, 2014) for the Optuna study of each network.

    The database stays as it is, and equal databases give equal numbers. A fault of the database becomes a reason.
    """
    names = list(architectures)
    if not database.is_file():
        return dict.fromkeys(names, Importance(reason="optuna.db is not there"))
    with tempfile.TemporaryDirectory() as directory:
        try:
            copy = Path(directory) / "optuna.db"
            shutil.copy(database, copy)
            storage = open_database(copy)
            known = {study.study_name for study in storage.get_all_studies()}
            return {
                name: importance(optuna.load_study(study_name=name, storage=storage))
                if name in known
                else Importance(reason="optuna.db does not hold its search")
                for name in names
            }
        # A damaged database can fail anywhere in SQLite, SQLAlchemy, Alembic or Optuna. The report shows the reason.
        except Exception:
            return dict.fromkeys(names, Importance(reason="optuna.db cannot be read"))


def importance(study: optuna.Study) -> Importance:
    """Compute the importance of the hyperparameters of one Optuna study."""
    trials = _scored_trials(study)
    if len(trials) < LEAST_TRIALS:
        return Importance(len(trials), reason=f"it takes at least {LEAST_TRIALS} trials with a score")
    if len({trial.value for trial in trials}) == 1:
        return Importance(len(trials), reason="all trials have the same score")
    # Imported here because it imports scikit-learn, which takes a second.
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    with _quiet():
        scored = optuna.create_study(direction=study.direction)
    scored.add_trials(trials)
    try:
        shares = get_param_importances(scored, evaluator=FanovaImportanceEvaluator(seed=0))
    except RuntimeError:  # each forest resamples the trials, and can miss the one score that differs
        return Importance(len(trials), reason="the trials hardly differ in score")
    return Importance(len(trials), {name: float(shares[name]) for name in sorted(shares)})


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from logging each study that it makes."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _scored_trials(study: optuna.Study) -> Sequence[FrozenTrial]:
    """Return the trials with a score, as completed trials, because fANOVA takes only those."""
    return [
        create_trial(params=trial.params, distributions=trial.distributions, value=trial.value)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        if trial.value is not None
    ]
