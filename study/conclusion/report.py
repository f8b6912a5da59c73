"""Builds the report of a study at its end, and says where it is."""

from collections.abc import Sequence

from rich.text import Text

from analysis.results.load import load_results
from analysis.results.study_folder import StudyFolder
from analysis.retraining.plans import FailedRun
from analysis.verdict.shipping.exported import outdated_export
from study.listeners.screen import Screen


def conclude(folder: StudyFolder, screen: Screen, failures: Sequence[FailedRun]) -> int:
    """Build the report and say where it is. Return 1 if a run failed or no run succeeded."""
    # Here, because Matplotlib and SciPy would delay the study's first step.
    from analysis.report.build import build_report
    from analysis.report.terminal import closing, comparison
    from analysis.verdict.summary import summarise

    for failure in failures:
        screen.warn(f"the run {failure.plan.name} failed: {failure.reason}")
    report = build_report(folder)
    results = load_results(folder)
    summary = summarise(results)
    for arch, title in results.architectures.items():
        if len(results.trials) and (results.trials.loc[results.trials["arch"] == arch, "status"] == "FAILED").all():
            screen.warn(f"{title} has no result: all its trials failed. {folder.journal} says why; begin anew")
    screen.print(comparison(summary))
    for line in closing(summary, report, folder.optuna if folder.optuna.exists() else None):
        _say(screen, line)
    _warn_of_export(folder, screen)
    return 1 if failures or not summary.groups else 0


def name_report(folder: StudyFolder, screen: Screen) -> int:
    """Say where the report of a finished study is. If the study holds more than its report shows, build it anew."""
    from analysis.report.build import is_current  # here, for the reason given in conclude

    if not is_current(folder) or not folder.final.metrics():
        return conclude(folder, screen, ())
    _warn_of_export(folder, screen)
    _say(screen, f"The study is finished. Report: {(folder.report / 'report.html').absolute()}")
    return 0


def _warn_of_export(folder: StudyFolder, screen: Screen) -> None:
    if (line := outdated_export(folder)) is not None:
        screen.warn(line)


def _say(screen: Screen, line: str | Text) -> None:
    screen.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)
