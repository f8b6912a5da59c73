"""Errors that end a study with one line instead of a traceback."""


class BadInput(Exception):
    """What the user gave cannot be used. The message is one line that says what to do."""


class StudyFailed(Exception):
    """The study cannot be finished. The message is one line that says why."""
