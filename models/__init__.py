"""The networks, and how one of them is trained. Knows nothing of Ray or of studies."""
