"""Reads data sets into arrays."""
