"""The looks of `--seeds auto`: the level of a comparison, and when a study stops."""
