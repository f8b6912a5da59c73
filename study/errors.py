"""Errors that end a study with one line instead of a traceback."""


class BadInput(Exception):
    """What the user gave cannot be used. The message is one line that says what to do."""


class StudyFailed(Exception):
    """The study cannot be finished. The message is one line that says why."""


class StorageFailed(StudyFailed):
    """What a run needs to keep cannot be kept: no fault of the run, so it is not counted against it."""
