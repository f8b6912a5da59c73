"""What can be told of a network: its cost and its fingerprint."""
