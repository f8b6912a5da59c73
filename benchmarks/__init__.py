"""Measurements that RESULTS.md quotes, one command a table."""
