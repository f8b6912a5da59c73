"""Sets studies of the same images side by side: `python -m analysis.compare DIR DIR ...`."""
