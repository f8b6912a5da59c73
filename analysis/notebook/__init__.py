"""The notebook of results: `python -m analysis.notebook [DIR]` runs it."""
