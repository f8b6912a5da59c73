"""Finds the images in a folder, finds repeated pictures, and splits a folder that has no test set."""
