"""The search, and everything that runs on Ray."""

from study.cluster import environment as environment

__version__ = "0.1.0"
