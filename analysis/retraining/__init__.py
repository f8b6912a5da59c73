"""Plans, trains and judges one run after the search. No Ray."""
