"""The command line: options, checks, endings and signals."""
