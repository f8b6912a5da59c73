"""The comparisons of a study, its verdict, and the limits of the verdict."""
