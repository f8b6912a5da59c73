"""Statistics of predictions and of single runs, as pure functions of arrays."""
