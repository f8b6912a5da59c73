"""Several studies by one command, each with searches and seeds of its own."""
