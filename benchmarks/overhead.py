"""How much of a study's time goes into training, and where does the rest go?

    python -m benchmarks.overhead --data-dir PATH

runs a study of some 10 minutes on two cores as a user would, with `python -m study.run`, and prints its stages, from
the times at which its files were written. Workers report the seconds of each epoch's training pass and validation. The
benchmark divides their sum by the stage's time on the clock times the runs at a time. The rest is imports, starts of
workers, checkpoints, predictions of the test set, the driver's work, and workers that wait for the last run of a stage.

The earliest epoch began at the time of its report, or of its trial's end, less its training pass and validation. The
time to the first training step ends there. It includes that epoch's checkpoint and is an upper bound. Run the command
twice to have warm caches.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from analysis.paths import user_path
from analysis.results.study_folder import StudyFolder
from study.errors import StudyFailed
from study.search.ledger import Ledger
from study.search.trial import Trial

NAME = "overhead"
STUDY = (sys.executable, "-m", "study.run")
POLL_SECONDS = 0.02

FOLDER_STUDY = "--train-size 5000 --trials 5 --max-epochs 8 --seeds 3"
DIGITS_STUDY = "--dataset digits --trials 16 --max-epochs 16 --seeds 10"
QUICK_STUDY = "--dataset digits --archs mobilenet --trials 1 --max-epochs 1 --seeds 1 --train-size 200 --confirm 1"


def measure(arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Runs a study; returns a row for each stage, in order, and one for the whole.

    Raises:
        StudyFailed: the study ended with another status than 0.
    """
    with tempfile.TemporaryDirectory() as results:
        command = [*STUDY, *arguments, "--results-dir", results, "--name", NAME]
        folder = StudyFolder(Path(results) / NAME)
        start = time.time()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            first_step = _wait_for_first_step(folder, process)
            output, _ = process.communicate()
        if process.returncode:
            raise StudyFailed(f"the study ended with status {process.returncode}: {output}")
        return _stages(folder, start, first_step, time.time())


def _wait_for_first_step(folder: StudyFolder, process: "subprocess.Popen[str]") -> float:
    """Returns the time at which the first training step began, or the study's end if there was none."""
    begun: dict[str, float] = {}
    # The network with the shorter epochs reports first, even if the other began first.
    while process.poll() is None and len(begun) < 2:
        if folder.journal.exists():
            for line in folder.journal.read_text().splitlines(keepends=True):
                if line.endswith("\n") and (event := json.loads(line))["event"] == "epoch":
                    begun.setdefault(event["trial_id"], time.time() - event["seconds"] - event["validation_seconds"])
        time.sleep(POLL_SECONDS)
    return min(begun.values(), default=time.time())


def _stages(folder: StudyFolder, start: float, first_step: float, end: float) -> list[dict[str, Any]]:
    concurrency = folder.read_study()["config"]["concurrency"]
    begun = (folder.path / "study.json").stat().st_mtime
    confirm, final = ([*(folder.path / stage).glob("*/*/metrics.json")] for stage in ("confirm", "final"))
    searched = folder.journal.stat().st_mtime
    confirmed = max((path.stat().st_mtime for path in confirm), default=searched)
    judged = max(path.stat().st_mtime for path in final)
    timed = (folder.path / "final" / "latency.json").stat().st_mtime
    ledger = Ledger(folder.journal)
    epochs = [vars(row) for _, row in ledger.arrivals()]
    # A short trial may have ended before this program saw its first epoch.
    first_step = min(first_step, *(_latest_begin(trial) for trial in ledger.trials() if trial.ended is not None))
    stages = [
        ("imports, data, Ray", start, begun, []),
        ("first workers", begun, first_step, []),
        ("search", first_step, searched, epochs),
        ("confirmation", searched, confirmed, [json.loads(path.read_text()) for path in confirm]),
        ("final runs", confirmed, judged, [json.loads(path.read_text()) for path in final]),
        ("latency", judged, timed, []),
        ("report", timed, end, []),
    ]
    rows = [
        {
            "stage": name,
            "seconds": until - since,
            "pass_seconds": sum(part["seconds"] for part in parts),
            "training_seconds": sum(part["seconds"] + part["validation_seconds"] for part in parts),
            "concurrency": concurrency,
        }
        for name, since, until, parts in stages
    ]
    total = {name: sum(row[name] for row in rows) for name in ("seconds", "pass_seconds", "training_seconds")}
    rows.append({"stage": "all", **total, "concurrency": concurrency})
    for row in rows:
        for part in ("pass", "training"):
            row[f"{part}_share"] = row[f"{part}_seconds"] / (row["seconds"] * concurrency)
    return rows


def _latest_begin(trial: Trial) -> float:
    """Returns the latest time at which the first step of a trial that has ended may have begun."""
    assert trial.ended is not None
    return trial.ended.timestamp() - sum(row.seconds + row.validation_seconds for row in trial.history)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=user_path, help="folder of images; scikit-learn's digits if not given")
    parser.add_argument("--quick", action="store_true", help="a study of seconds")
    parser.add_argument("--json", type=user_path, help="write the rows there")
    options = parser.parse_args(arguments)
    if options.quick:
        study = QUICK_STUDY.split()
    elif options.data_dir:
        study = ["--dataset", "folder", "--data-dir", str(options.data_dir), *FOLDER_STUDY.split()]
    else:
        study = DIGITS_STUDY.split()
    rows = measure(study)
    table = Table(title=f"{rows[0]['concurrency']} runs at a time")
    table.add_column("stage")
    for heading in ("seconds", "of the whole, %", "in epochs, %", "in training passes alone, %"):
        table.add_column(heading, justify="right")
    for row in rows:
        whole = 100 * row["seconds"] / rows[-1]["seconds"]
        shares = (f"{100 * row[name]:.1f}" for name in ("training_share", "pass_share"))
        table.add_row(row["stage"], f"{row['seconds']:.1f}", f"{whole:.1f}", *shares)
    console = Console(width=120)
    console.print(table)
    until_first = rows[0]["seconds"] + rows[1]["seconds"]
    console.print(f"From the command to the first training step: at most {until_first:.1f} s", highlight=False)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
