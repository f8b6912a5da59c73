"""The study folder: its file names, their formats, and how they are read."""
