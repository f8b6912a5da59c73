"""The search, and everything that runs on Ray."""

from study.cluster import environment as environment
