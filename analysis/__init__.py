"""What follows the search: final runs, metrics, latency, statistics, figures and the report."""
