"""The networks, their layers, their registry and their cost."""
