"""The earlier study: one that goes on (begun.py), and one that tells its trials to a new study (telling.py)."""
