"""Gives every figure the same colours, fonts, axes and files."""
