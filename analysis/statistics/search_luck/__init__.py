"""The luck of a search: how much the true score of the chosen configuration varies between searches of one network."""
