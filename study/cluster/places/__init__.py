"""Finds the nodes of a machine or a cluster, says what a run waits for, and changes how Ray starts on this machine."""
