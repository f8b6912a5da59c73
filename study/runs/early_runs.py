"""Work for those who would wait: other runs begin while the last trials of another network still run."""

from analysis.results.study_folder import StudyFolder
from study.runs.confirmation import plan_confirmations
from study.runs.final_runs import missing_runs, plan_baselines, untrained_runs
from study.runs.ray_runs import Retraining
from study.search.driver import SearchListener
from study.search.search import Search
from study.settings.config import StudyConfig


class EarlyRuns:
    """Listens to a search; a network whose own search is over is confirmed on free slots, then its baseline is trained.

    The runs are those that would follow the search: each network is confirmed by its own trials on fresh seeds, the
    baseline is known, and what is trained ahead predicts no test image before the final runs.

    Args:
        listener: is told first.
    """

    def __init__(
        self, listener: SearchListener, config: StudyConfig, folder: StudyFolder, retraining: Retraining
    ) -> None:
        self._listener = listener
        self._config = config
        self._folder = folder
        self._retraining = retraining

    def on_change(self, search: Search) -> None:
        self._listener.on_change(search)
        if search.has_begun_all() and not search.is_done():
            plans = [plan for plan in plan_confirmations(self._config, search) if search.is_over(plan.arch)]
            self._retraining.begin(
                missing_runs(plans, self._folder),
                untrained_runs(plan_baselines(self._config, search), self._folder),
                others=search.count_running(),
            )
