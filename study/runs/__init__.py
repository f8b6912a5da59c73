"""The runs after the search, as Ray tasks."""
