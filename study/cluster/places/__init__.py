"""Finds the nodes of a machine or a cluster, and says what a run waits for."""
