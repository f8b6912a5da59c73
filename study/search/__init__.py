"""The search: which trial comes next, and which are stopped."""
