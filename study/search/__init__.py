"""The search: which trial comes next, and which are stopped at a rung (search.py)."""
