"""Reads event files with TensorBoard, each event as often as it is there."""

from pathlib import Path
from typing import Any


def read_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the steps and values of each tag, in the order of the files."""
    events = _read(folder)
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def read_texts(folder: Path) -> dict[str, list[str]]:
    """Return the texts of each tag."""
    events = _read(folder)
    found = {tag: [event.tensor_proto.string_val for event in events.Tensors(tag)] for tag in events.Tags()["tensors"]}
    return {tag: [text[0].decode() for text in texts if text] for tag, texts in found.items()}


def _read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    # TensorBoard hides events that a later one of a lower step replaces, unless it is told to show all.
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}, purge_orphaned_data=False)
    events.Reload()
    return events
