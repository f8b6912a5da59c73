"""The records that a study needs to go on."""
