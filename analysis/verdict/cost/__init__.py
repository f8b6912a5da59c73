"""Says what the networks cost: the time of a prediction, and the parameters."""
