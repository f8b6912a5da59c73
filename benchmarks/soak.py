"""Does a study survive being killed again and again?

    python -m benchmarks.soak

runs one small study of digits undisturbed, then the same study under `kill -9` of its driver at random moments, each
followed by --resume. Every trial, every epoch (without its times) and every prediction must be equal to the bit. It
prints the stage that each kill hit, and ends with status 1 if anything differs.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.paths import user_path

STUDY = ["--dataset", "digits", "--train-size", "200", "--trials", "4", "--max-epochs", "6", "--seeds", "3"]
# One trial at a time makes the search repeatable.
STUDY = [*STUDY, "--confirm", "1", "--concurrency", "1"]
KILLS = 20
# A driver lives for at most this part of the seconds that the undisturbed study takes, so that kills hit every stage.
LONGEST_LIFE = 0.75


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=0, help="seed of the random moments")
    parser.add_argument("--json", type=user_path, help="write the rows there")
    options = parser.parse_args(arguments)
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        begun = time.monotonic()
        _finish(["--name", "whole", *STUDY], place)
        undisturbed = time.monotonic() - begun
        folder = place / "results" / "killed"
        rows: list[dict[str, object]] = []
        command = ["--name", "killed", *STUDY]
        while len(rows) < options.kills:
            seconds = moments.uniform(0, LONGEST_LIFE * undisturbed)
            if not _kill_after(seconds, command, place):
                break
            rows.append({"seconds": round(seconds, 1), "stage": _stage(folder)})
            print(f"kill {len(rows)} after {seconds:.1f} s: {rows[-1]['stage']}", flush=True)
            if (folder / "study.json").exists():
                command = ["--resume", "--name", "killed"]
        _finish(command, place)
        differences = _differences(place / "results" / "whole", folder)
    stages = ", ".join(f"{count} {stage}" for stage, count in Counter(str(row["stage"]) for row in rows).items())
    print(f"{len(rows)} kills ({stages}); left alone the study takes {undisturbed:.0f} s.")
    print("; ".join(differences) or "Trials, epochs and predictions are equal to those of the study left alone.")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 1 if differences else 0


def _start(arguments: Sequence[str], place: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "study.run", *arguments]
    return subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _finish(arguments: Sequence[str], place: Path) -> None:
    process = _start(arguments, place)
    _, error = process.communicate()
    if process.returncode:
        raise SystemExit(f"the study ended with status {process.returncode}: {error}")


def _kill_after(seconds: float, arguments: Sequence[str], place: Path) -> bool:
    """Kills a driver after some seconds; returns False if it had finished by then."""
    process = _start(arguments, place)
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    if process.returncode:
        raise SystemExit(f"the study ended with status {process.returncode}")
    return False


def _stage(folder: Path) -> str:
    """Returns the stage that a study had come to."""
    if not (folder / "study.json").exists():
        return "before the study began"
    journal = folder / "tune" / "journal.jsonl"
    if not journal.exists() or '"epoch"' not in journal.read_text():
        return "before the first epoch"
    if (folder / "report" / "report.html").exists():
        return "after the report"
    if (folder / "tune" / "checkpoints" / "final").exists() or any(folder.glob("final/*/seed-*")):
        return "in the final runs"
    if (folder / "tune" / "checkpoints" / "confirm").exists() or any(folder.glob("confirm/*/*")):
        return "in confirmation"
    return "in the search"


def _differences(one: Path, other: Path) -> list[str]:
    """Returns a line for each difference between two studies that must be equal."""
    found = []
    for name in ("trials.csv", "history.csv"):
        first, second = (pd.read_csv(path / name).drop(columns="seconds") for path in (one, other))
        if not first.equals(second):
            found.append(f"{name} differs")
    paths = [{path.relative_to(root) for path in root.glob("final/*/*/predictions.npz")} for root in (one, other)]
    if paths[0] != paths[1] or not paths[0]:
        found.append("the final runs are not the same")
    for path in sorted(paths[0] & paths[1]):
        if not np.array_equal(np.load(one / path)["logits"], np.load(other / path)["logits"]):
            found.append(f"{path} differs")
    if left := sorted(path.name for path in other.rglob(".*.tmp")):
        found.append(f"temporary files are left: {', '.join(left)}")
    return found


if __name__ == "__main__":
    raise SystemExit(main())
