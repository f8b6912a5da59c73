"""Work for those who would wait: confirmations begin while the last trials of another network still run."""

from analysis.confirmation import plan_confirmations
from analysis.final_runs import missing_runs
from analysis.retraining import Retraining
from study.config import StudyConfig
from study.driver import SearchListener
from study.folder import StudyFolder
from study.search import Search


class EarlyConfirmation:
    """Listens to a search; begins the confirmation of a network whose own search is over on slots that are free.

    It is the same runs as after the search, since each network is confirmed by its own trials and on fresh seeds.

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
            self._retraining.begin(missing_runs(plans, self._folder), others=search.count_running())
