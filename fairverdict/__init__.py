"""The Python face of fairverdict: run a study, and look at one.

    import fairverdict

    study = fairverdict.run(preset="quick")
    print(study.verdict)

The import is quick and changes nothing: PyTorch, Ray, pandas and Matplotlib are imported when they are needed.
"""

from fairverdict.hidden import check_nothing_is_hidden
from fairverdict.running import StudyFailed, run
from fairverdict.studies import Study, Verdict

__all__ = ["Study", "StudyFailed", "Verdict", "run"]

check_nothing_is_hidden()
