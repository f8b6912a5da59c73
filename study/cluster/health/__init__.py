"""Finds nodes that cannot take part in a study, and notices if Ray itself is lost."""
