"""Helpers that look at a study's journal and damage files."""

from pathlib import Path


def events(folder: Path, kind: str) -> int:
    """How many events of a kind the search's journal holds."""
    journal = folder / "tune" / "journal.jsonl"
    return journal.read_text().count(f'"event": "{kind}"') if journal.exists() else 0


def flip(path: Path) -> None:
    """Flips every bit of the middle of a file."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = bytes(byte ^ 0xFF for byte in content[middle : middle + 8])
    path.write_bytes(content)
