"""The search, and everything that runs on Ray."""

from study.cluster import environment as environment

__version__ = "0.1.0"
# Raise it by 1 when studies begun before cannot go on: other files, or other images in a split.
FORMAT = 2
