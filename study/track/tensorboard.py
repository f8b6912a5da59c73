"""Writes runs as TensorBoard's event files: a folder for each network and run.

It reads the event files back first, and writes nothing twice.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.metadata import NULL_TENSOR, SESSION_END_INFO_TAG, create_summary_metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from analysis.results.study_folder import StudyFolder
from study.track.tracker import Run

_HPARAMS = "hparams"


def connect(folder: StudyFolder, uri: str | None) -> "TensorBoard":
    """Return the event files of a study, by default in its folder `tensorboard`.

    Args:
        uri: a folder that gets a folder for the study.
    """
    return TensorBoard(folder.path / "tensorboard" if uri is None else Path(uri) / folder.path.name)


class TensorBoard:
    """Writes the event files of one study below a folder."""

    def __init__(self, root: Path) -> None:
        self.where = str(root)
        self._root = root
        self._held: dict[str, dict[str, dict[int, Any]]] = {}
        self._writers: dict[str, EventFileWriter] = {}

    def begin(self, run: Run) -> int:
        if run.key not in self._held:
            self._held[run.key] = _read(self._root.joinpath(*run.path))
        return max(self._held[run.key].get("val_loss", {}), default=0)

    def epoch(self, run: Run, first: int) -> None:
        for number, metrics in enumerate(run.epochs[first - 1 :], start=first):
            for name, value in metrics.items():
                self._write_scalar(run, name, number, value)
        self._writers[run.key].flush()

    def end(self, run: Run) -> None:
        for name, value in run.metrics.items():
            self._write_scalar(run, name, run.step, value)
        if run.path:
            self._write_text(run, run.kind, {"status": run.status, **run.tags})
        else:
            report = {"report": f"report/{run.artifact.name} in the study's folder"} if run.artifact else {}
            self._write_text(run, run.kind, {"status": run.status, **run.parameters, **run.tags, **report})
        if run.is_over and len(run.path) == 2 and _HPARAMS not in self._held[run.key]:
            self._held[run.key][_HPARAMS] = {}
            self._write(run, run.step, hparams_pb(dict(run.parameters), trial_id=run.key))
            self._write(run, run.step, _end_of(run))
        if run.key in self._writers:
            self._writers.pop(run.key).close()

    def close(self) -> None:
        for key in list(self._writers):
            self._writers.pop(key).close()

    def _write_scalar(self, run: Run, name: str, step: int, value: float) -> None:
        single = float(np.float32(value))
        if self._held[run.key].setdefault(name, {}).get(step) != single:
            self._held[run.key][name][step] = single
            self._write(run, step, Summary(value=[Summary.Value(tag=name, simple_value=single)]))

    def _write_text(self, run: Run, name: str, rows: dict[str, Any]) -> None:
        table = "\n".join(["| | |", "|---|---|", *(f"| {key} | {text} |" for key, text in rows.items())])
        held = self._held[run.key].setdefault(name, {})
        if not held or held[max(held)] != table:
            held[run.step] = table
            self._write(run, run.step, text_pb(name, table))

    def _write(self, run: Run, step: int, summary: Any) -> None:
        if run.key not in self._writers:
            self._writers[run.key] = EventFileWriter(str(self._root.joinpath(*run.path)))
        event = Event(wall_time=time.time(), step=step)
        event.summary.CopyFrom(summary)
        self._writers[run.key].add_event(event)


def _end_of(run: Run) -> Summary:
    """Return the end of a run for the tab HPARAMS."""
    status = api_pb2.STATUS_FAILURE if run.status == "FAILED" else api_pb2.STATUS_SUCCESS
    ended = HParamsPluginData(session_end_info=SessionEndInfo(status=status, end_time_secs=time.time()))
    value = Summary.Value(tag=SESSION_END_INFO_TAG, metadata=create_summary_metadata(ended), tensor=NULL_TENSOR)
    return Summary(value=[value])


def _read(folder: Path) -> dict[str, dict[int, Any]]:
    """Return what the event files in a folder hold: values and texts by tag and step."""
    if not folder.is_dir():
        return {}
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    held: dict[str, dict[int, Any]] = {
        tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]
    }
    for tag in events.Tags()["tensors"]:
        texts = {event.step: event.tensor_proto.string_val for event in events.Tensors(tag)}
        held[tag.removesuffix("/text_summary")] = {step: text[0].decode() for step, text in texts.items() if text}
    if SESSION_END_INFO_TAG in events.summary_metadata:
        held[_HPARAMS] = {}
    return held
