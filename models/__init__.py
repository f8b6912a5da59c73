"""The networks and their training. Imports neither Ray nor the study."""
