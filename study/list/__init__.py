"""The command that lists studies, and the checkpoints that no study claims."""
