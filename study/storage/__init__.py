"""Where a study keeps what it needs to go on."""
