"""The limits of a verdict: how many things weaken it, and the sentences that say so."""
