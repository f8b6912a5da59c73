"""The data sets, read into arrays."""
