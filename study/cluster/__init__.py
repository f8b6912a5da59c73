"""Runs Ray: one session, its machines and its workers."""
