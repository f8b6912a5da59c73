"""Predicts the classes of images with a network that a study trained: `python -m study.predict DIR IMAGE ...`."""
