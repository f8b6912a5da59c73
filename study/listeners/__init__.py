"""Who listens to a study: the screen, the tables."""
