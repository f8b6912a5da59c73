"""A study whose machines are lost with their disks, one after the other, while a copy in a bucket follows it.

The bucket is a folder, by a URI; tests/cluster has one behind S3's protocol. Each machine is a folder of its own, and
the same command is typed on each.
"""

import re
import shutil
from pathlib import Path

import pytest

from tests.processes import GATE, SMALL, Gate, Programs, assert_same_results
from tests.study.faults import events
from tests.study.mirror.copied import contents

STUDY = [*SMALL, "--confirm", "2", "--name", "lost"]


@pytest.mark.slow
def test_a_study_outlives_its_machines(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = [tmp_path / f"machine-{number}" for number in range(6)]
    for machine in machines:
        machine.mkdir()
    calm, bucket = machines[0] / "results" / "lost", tmp_path / "bucket"
    assert programs.run_study(STUDY, machines[0]).returncode == 0
    monkeypatch.setenv(GATE, str(tmp_path / "gate"))
    gate, command = Gate(tmp_path / "gate"), [*STUDY, "--storage", bucket.as_uri(), "--resume"]

    def found(pattern: str) -> bool:
        return any(bucket.glob(pattern))

    first = programs.study(command, machines[1])
    first.wait_for(lambda: found("studies/*/*/study.json"))
    gate.let_train_until(first, lambda: events(machines[1] / "results" / "lost", "epoch") >= 2)
    begun = first.kill()
    assert "There is no study to go on with: results/lost begins" in begun
    first.wait_until_gone()
    shutil.rmtree(machines[1])

    second = programs.study(command, machines[2])
    gate.let_train_until(second, lambda: found("*/confirm/**/*.pt"))
    assert "Fetched results/lost from " in second.kill()
    second.wait_until_gone()
    shutil.rmtree(machines[2])

    third = programs.study(command, machines[3])
    run = "final/*/seed-*/SHA256SUMS"
    gate.let_train_until(third, lambda: any(machines[3].glob(f"results/lost/{run}")))
    third.wait_for(lambda: found(f"studies/*/*/{run}"))
    fourth = programs.study(command, machines[4])
    ended = third.finish()
    assert ended.returncode == 1
    assert re.fullmatch(r"the study ended here: a newer driver works on lost \(session 00004-.*\n", ended.stderr)
    gate.open()
    done = fourth.finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert_same_results(calm, machines[4] / "results" / "lost")
    assert [path.name for path in bucket.iterdir()] == ["studies"], "no checkpoint is left"

    last = programs.run_study(["--resume", "--storage", bucket.as_uri()], machines[5])
    assert (last.returncode, last.stderr) == (0, "")
    assert "The study is finished. Report: " in last.stdout
    there, here = (contents(machine / "results" / "lost") for machine in machines[4:])
    kept = {name: content for name, content in there.items() if not name.startswith("tune/search-")}
    assert {name: content for name, content in here.items() if name != "study.log"} == {
        name: content for name, content in kept.items() if name != "study.log"
    }
