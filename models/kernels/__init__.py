"""Fast code for what torch's own layers do; README.md in this folder says what each file saves."""
