"""The plan of a study before it starts, and the time that it takes."""
