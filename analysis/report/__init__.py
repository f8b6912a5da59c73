"""The report: `python -m analysis.report DIR` builds it from a study's folder."""
