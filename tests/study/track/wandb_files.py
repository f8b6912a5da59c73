"""Reads what W&B wrote offline: a file `run-<id>.wandb` is LevelDB's log of messages."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_HEADER, _BLOCK, _RECORD = 7, 32 * 1024, 7
_LAST_PARTS = (1, 4)  # a record in one part, and the last of several parts


@dataclass
class OfflineRun:
    """Holds one offline run, as its file has it."""

    id: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    project: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)
    is_finished: bool = False


def read_finished_runs(folder: Path) -> list[OfflineRun]:
    """Return the offline runs in a folder `wandb`. Each must be finished, or be so within 20 s.

    W&B's own process writes the last records of a run some milliseconds after `finish` returns.
    """
    deadline = time.monotonic() + 20
    while True:
        runs = read_offline_runs(folder)
        if all(run.is_finished for run in runs):
            return runs
        assert time.monotonic() < deadline, "a run is not finished"
        time.sleep(0.05)


def read_offline_runs(folder: Path) -> list[OfflineRun]:
    """Return the offline runs in a folder `wandb`."""
    return [_read(path) for path in sorted(folder.glob("offline-run-*/run-*.wandb"))]


def _read(path: Path) -> OfflineRun:
    from wandb.proto import wandb_internal_pb2

    found = OfflineRun()
    for data in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        match record.WhichOneof("record_type"):
            case "run":
                run = record.run
                found.id, found.name, found.group = run.run_id, run.display_name, run.run_group
                found.job_type, found.project = run.job_type, run.project
                found.config |= {item.key: json.loads(item.value_json) for item in run.config.update if item.key}
            case "history":
                found.history.append(_items(record.history.item))
            case "summary":
                found.summary |= _items(record.summary.update)
            case "artifact":
                found.artifacts += [entry.path for entry in record.artifact.manifest.contents]
            case "exit":
                found.is_finished = True
    return found


def _items(items: Any) -> dict[str, Any]:
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def _records(content: bytes) -> Iterator[bytes]:
    """Yield the records. A record lies in blocks, in parts with a header of checksum, length and kind."""
    assert content[:4] == b":W&B"
    at, record = _HEADER, b""
    while at + _RECORD <= len(content):
        if _BLOCK - at % _BLOCK < _RECORD:
            at += _BLOCK - at % _BLOCK
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        record += content[at + _RECORD : at + _RECORD + length]
        at += _RECORD + length
        if kind in _LAST_PARTS:
            yield record
            record = b""
