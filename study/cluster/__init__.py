"""Ray: one session of it, its machines and its workers."""
