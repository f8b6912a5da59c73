"""The error of a study that cannot be used."""


class UnusableStudy(Exception):
    """Says in one line why a study cannot be used and what to do about it. A command line ends with status 2."""
