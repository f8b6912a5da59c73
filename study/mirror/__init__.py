"""The copy of a study in a bucket: what follows it there, and how it comes back."""
