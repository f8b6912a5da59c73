"""The cost of a network, and its fingerprint."""
