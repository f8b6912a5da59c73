"""deploy/slurm.sh on Debian's Slurm: a study on two nodes, which is requeued and goes on."""

import json
import re
import socket
import subprocess
from collections.abc import Iterator

import pandas as pd
import pytest

from tests.cluster.machines import GATEWAY, ROOT, Network, wait_until

SETTINGS = """
ClusterName=test
SlurmctldHost={host}({gateway})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/linear
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdParameters=config_overrides
NodeName=n1 NodeAddr=10.77.0.1 CPUs=1
NodeName=n2 NodeAddr=10.77.0.2 CPUs=1
PartitionName=all Nodes=ALL Default=YES
"""
STUDY = [
    *("--dataset", "digits", "--archs", "mobilenet", "--trials", "2", "--max-epochs", "4"),
    *("--seeds", "1", "--confirm", "0", "--name", "requeued"),
]


class Slurm:
    """Runs Slurm's controller here, and its daemon on two machines. Use as a context manager."""

    def __init__(self, network: Network) -> None:
        self.folder = network.folder / "slurm"
        self.nodes = [network.machine(number) for number in (1, 2)]
        self._settings = {"SLURM_CONF": str(self.folder / "slurm.conf")}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Slurm":
        (self.folder / "state").mkdir(parents=True)
        names = {"host": socket.gethostname().split(".")[0], "gateway": GATEWAY, "folder": self.folder}
        (self.folder / "slurm.conf").write_text(SETTINGS.format(**names))
        key = self.folder / "munge.key"
        key.write_bytes(bytes(range(256)) * 4)
        key.chmod(0o600)
        files = [f"--{name}={self.folder}/munge.{name.split('-')[0]}" for name in ("socket", "pid-file", "log-file")]
        self._start("munged", "--foreground", "--force", f"--key-file={key}", f"--seed-file={self.folder}/seed", *files)
        wait_until((self.folder / "munge.socket").exists, "munged listens")
        self._start("slurmctld", "-D")
        for number, node in enumerate(self.nodes, start=1):
            node.start(["slurmd", "-D", "-N", f"n{number}"], self.folder / f"n{number}.log", **self._settings)
        wait_until(lambda: self.call("sinfo", "-h", "-o", "%D %t").split() == ["2", "idle"], "both nodes are idle")
        return self

    def __exit__(self, *_: object) -> None:
        for daemon in self._daemons:
            daemon.kill()
            daemon.wait()

    def call(self, *command: str) -> str:
        """Run a command on the first node and return what it prints; it must succeed."""
        done = self.nodes[0].run(command, **self._settings)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def job(self, number: str) -> dict[str, str]:
        """Return the fields of a job."""
        return dict(re.findall(r"(\w+)=(\S*)", self.call("scontrol", "show", "job", number)))

    def _start(self, name: str, *words: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            command = [f"/usr/sbin/{name}", *words]
            environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **self._settings}
            daemon = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
            self._daemons.append(daemon)


@pytest.fixture
def slurm(network: Network) -> Iterator[Slurm]:
    with Slurm(network) as slurm:
        yield slurm


@pytest.mark.slow
def test_a_study_that_is_requeued_goes_on(slurm: Slurm) -> None:
    shared = slurm.folder / "shared"
    study = shared / "results" / "requeued"
    shared.mkdir()
    words = [*STUDY, "--storage", str(shared / "storage")]
    said = slurm.call("sbatch", f"--chdir={shared}", str(ROOT / "deploy" / "slurm.sh"), *words)
    (number,) = re.findall(r"\d+", said)
    log, journal = shared / f"fairverdict-{number}.log", study / "tune" / "journal.jsonl"

    def epochs() -> int:
        assert slurm.job(number)["JobState"] in ("PENDING", "CONFIGURING", "RUNNING"), log.read_text()
        return journal.read_text().count('"epoch"') if journal.exists() else 0

    wait_until(lambda: epochs() >= 2, "some epochs")
    # Slurm sends this before the time limit.
    slurm.call("scancel", "--batch", "--signal=USR1", number)
    wait_until(lambda: slurm.job(number)["JobState"] not in ("RUNNING", "COMPLETING"), "the job is in the queue again")
    slurm.call("scontrol", "update", f"JobId={number}", "StartTime=now")
    wait_until(lambda: slurm.job(number)["JobState"] not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING"), "ends")
    job = slurm.job(number)
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1"), log.read_text()
    assert len(json.loads((study / "study.json").read_text())["resumed"]) == 1
    assert len(pd.read_csv(study / "trials.csv")) == 2
    assert (study / "report" / "report.html").exists()
    for node in slurm.nodes:
        wait_until(lambda node=node: not [line for line in node.processes() if "ray" in line], "Ray ends on the node")
