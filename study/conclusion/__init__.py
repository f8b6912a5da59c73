"""Ends a study: builds its report, and tells the user where it is."""
