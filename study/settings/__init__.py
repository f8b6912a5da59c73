"""The settings of a study, and the space that it searches."""
