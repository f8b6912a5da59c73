"""How one network is trained, from its recipe to its best weights."""
