"""The study file: a whole study in TOML, read and written."""
