"""The stages after the search: final runs, metrics, latency, statistics, figures and the report."""
