"""The files of weights to ship: how they are chosen, and how two of them compare."""
