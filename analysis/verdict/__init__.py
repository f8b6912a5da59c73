"""The comparisons that a study makes, its verdict, and the limits of that."""
