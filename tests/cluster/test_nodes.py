"""A study on several nodes: nodes that die, nodes that come late, a driver that dies, a bucket that is away."""

import io
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.cluster.machines import Machine, wait_until
from tests.cluster.storage import S3
from tests.processes import GATE, HANGS_AFTER, OWN_NETWORKS, Gate

SETTINGS = ["--dataset", "digits", "--trials", "3", "--seeds", "1", "--confirm", "0", "--address", "auto"]
RUN = ["python", "-m", "study.run"]
# The small network on all the digits: epochs of a second or two, checkpoints of a few hundred kilobytes.
STUDY = [*RUN, *SETTINGS, "--archs", "mobilenet", "--max-epochs", "5"]
# A tiny network, whose training a gate can hold.
TINY = ["python", *OWN_NETWORKS, *SETTINGS, "--archs", "tiny", "--train-size", "100", "--max-epochs", "20"]
RESUME = [*RUN, "--resume", "--name"]
ENDED = {"COMPLETE", "STOPPED_EARLY", "PRUNED"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return the folder of this test's gate, which every machine sees. Without a `Gate` there is no such folder."""
    return tmp_path / "gate"


@pytest.fixture
def head(s3: S3, machine: Callable[[int], Machine], place: Path, request: pytest.FixtureRequest) -> Machine:
    """Start a head with one CPU, or with as many as the test's parameter says."""
    head, cpus = machine(1), getattr(request, "param", 1)
    words = ("--head", "--port=6379", f"--num-cpus={cpus}", "--include-dashboard=false")
    # Ray gives a node up after 2 checks without an answer instead of 5, because the tests wait for it.
    head.ray_start(*words, **{GATE: str(place)}, RAY_health_check_failure_threshold="2")
    s3.give_credentials(head.files)
    return head


@pytest.fixture
def add_node(s3: S3, head: Machine, machine: Callable[[int], Machine], place: Path) -> Callable[[int], Machine]:
    """Starts a machine with one CPU and lets it join."""

    def add(number: int) -> Machine:
        node = machine(number)
        s3.give_credentials(node.files)
        node.ray_start(f"--address={head.ip}:6379", "--num-cpus=1", **{GATE: str(place)})
        return node

    return add


class Study:
    """A study that runs on the head."""

    def __init__(self, head: Machine, name: str, log: Path) -> None:
        self.folder = head.files / "results" / name
        self.log = log
        self._head = head
        self._name = name

    def start(self, *command: str) -> None:
        self.driver = self._head.start(command, self.log, RAY_AUTH_MODE="token")

    def epochs(self) -> dict[str, int]:
        """How many epochs of each trial were reported."""
        journal = self.folder / "tune" / "journal.jsonl"
        events = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
        counts: dict[str, int] = {}
        for event in events:
            if event["event"] == "epoch":
                counts[event["trial_id"]] = counts.get(event["trial_id"], 0) + 1
        return counts

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        def there() -> bool:
            assert self.driver.poll() is None, self.log.read_text()
            return bool(condition())

        wait_until(there, what)

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait as a gate does."""
        self.wait_until(condition, "what the test waits for")

    def kill_driver(self) -> None:
        """SIGKILL, for which nothing can prepare."""
        pids = self._head.run(["pgrep", "-f", f"study.run.*{self._name}"]).stdout.split()
        assert pids
        self._head.run(["kill", "-9", *pids])
        self.driver.wait(HANGS_AFTER)

    def finish(self) -> None:
        try:
            assert self.driver.wait(HANGS_AFTER) == 0, self.log.read_text()
        except subprocess.TimeoutExpired:
            pytest.fail(f"the study hangs:\n{self.log.read_text()}")

    def check(self, s3: S3) -> pd.DataFrame:
        """What holds of every finished study, however often something died; returns its trials."""
        trials = pd.read_csv(self.folder / "trials.csv")
        history = pd.read_csv(self.folder / "history.csv")
        assert [trial.partition("-")[2] for trial in trials["trial_id"]] == ["0", "1", "2"]
        assert set(trials["status"]) <= ENDED
        for row in trials.itertuples():
            assert list(history["epoch"][history["trial_id"] == row.trial_id]) == list(range(1, row.epochs + 1))
        assert (self.folder / "report" / "report.html").exists()
        # Checkpoints go to the storage, and what is finished needs none.
        assert not list(self.folder.glob("tune/checkpoints/**/*.pt"))
        assert self.saved_epochs(s3)
        assert not [name for name in s3.objects() if name.startswith(self.prefix())]
        return trials

    def saved_epochs(self, s3: S3) -> dict[str, list[int]]:
        """How many epochs each checkpoint of a trial or run held, in the order in which they were written."""
        return {
            name.removeprefix(self.prefix()).removesuffix(".pt"): [_epochs_in(content) for content in contents]
            for name, contents in s3.saved().items()
            if name.startswith(self.prefix())
        }

    def prefix(self) -> str:
        """Return the beginning of the names of its objects: the study's folder there has its id as its name."""
        return f"checkpoints/{json.loads((self.folder / 'study.json').read_text())['id']}/"


def _epochs_in(checkpoint: bytes) -> int:
    state = torch.load(io.BytesIO(checkpoint[checkpoint.index(b"PK") :]), weights_only=True)
    return len(state["history"])


@pytest.fixture
def study(head: Machine, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Study]:
    name = request.node.originalname.removeprefix("test_").replace("_", "-")
    study = Study(head, name, tmp_path / "log")
    yield study
    if study.driver.poll() is None:
        study.driver.kill()
        study.driver.wait()


def training(node: Machine) -> bool:
    """Whether a trial or a final run has a worker on this node."""
    return any(line.startswith(("ray::ImplicitFunc", "ray::_train_run")) for line in node.processes())


def test_a_node_that_is_killed_and_one_that_comes_late(
    study: Study, head: Machine, s3: S3, add_node: Callable[[int], Machine], place: Path
) -> None:
    doomed, gate = add_node(2), Gate(place)
    study.start(*TINY, "--storage", s3.uri(), "--name", study.folder.name)
    # A worker measures some steps of training before the trials begin.
    gate.let_train_until(study, lambda: training(head) or training(doomed))
    study.wait_until(lambda: training(head) and training(doomed), "a trial begins on each node")
    gate.let_train_until(study, lambda: sum(count >= 1 for count in study.epochs().values()) == 2)
    interrupted = study.epochs()
    doomed.power_off()
    late = add_node(3)
    study.wait_until(lambda: training(late), "the node that came late gets work")
    gate.open()
    study.finish()
    trials = study.check(s3).set_index("trial_id")
    saved = study.saved_epochs(s3)
    for trial_id, row in trials.iterrows():
        # What was trained and not yet saved is trained again; what was saved is not.
        epochs = saved[str(trial_id)]
        assert epochs[0] == 1 and epochs == sorted(set(epochs)), (epochs, interrupted)
        assert row["status"] == "PRUNED" or epochs[-1] == row["epochs"], (epochs, interrupted)
    assert "Traceback" not in study.log.read_text()


@pytest.mark.slow
def test_a_bucket_that_is_away_and_a_driver_that_is_killed(
    study: Study, head: Machine, s3: S3, add_node: Callable[[int], Machine]
) -> None:
    node = add_node(2)
    study.start(*STUDY, "--storage", s3.uri(), "--name", study.folder.name)
    study.wait_until(lambda: sum(study.epochs().values()) >= 2, "some epochs")
    s3.go_away(20)
    study.wait_until(lambda: sum(study.epochs().values()) >= 4, "more epochs")
    study.kill_driver()
    before = study.epochs()
    wait_until(lambda: not training(head) and not training(node), "its workers end with it")
    study.start(*RESUME, study.folder.name)
    study.finish()
    trials = study.check(s3).set_index("trial_id")
    saved = study.saved_epochs(s3)
    for trial_id, row in trials.iterrows():
        # What did not arrive in time may have been sent twice.
        epochs = saved[str(trial_id)]
        assert epochs[0] == 1 and epochs == sorted(epochs), (epochs, before)
        assert row["status"] == "PRUNED" or epochs[-1] == row["epochs"], (epochs, before)
    assert "error" not in (study.folder / "tune" / "journal.jsonl").read_text()


MODULE = """
from torch import nn
from my_blocks import pooled

class Net(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(pooled(), nn.Linear(192, num_classes))
"""
BLOCKS = """
from torch import nn

def pooled():
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten())
"""


@pytest.mark.parametrize("head", [0], indirect=True)
def test_a_node_without_the_user_s_modules_trains_their_network(
    study: Study, s3: S3, head: Machine, add_node: Callable[[int], Machine]
) -> None:
    """The node alone has a CPU, so everything trains there."""
    node = add_node(2)
    (head.files / "mynets.py").write_text(MODULE)
    (head.files / "my_blocks.py").write_text(BLOCKS)
    words = ["--archs", "mynets:Net", "--trials", "1", "--max-epochs", "1", "--storage", s3.uri()]
    study.start(*STUDY, *words, "--name", study.folder.name)
    study.finish()
    assert list(pd.read_csv(study.folder / "trials.csv")["status"]) == ["COMPLETE"]
    assert len(list((study.folder / "final").glob("net-*/seed-0"))) >= 1
    assert not (node.files / "mynets.py").exists()
