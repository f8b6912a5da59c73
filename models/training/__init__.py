"""The training of one network, from its recipe to its best weights."""
