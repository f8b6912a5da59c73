"""Reads data sets by name: torchvision's, files of arrays, and functions of the user's own."""
