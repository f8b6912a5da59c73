"""cluster.local.yaml from a laptop: ray up over ssh, a study, its results home, ray down.

Setting up Python on the machines is left out, which needs the internet: they find it set up. All else is the file's.
"""

import json
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from tests.cluster.machines import BIN, ROOT, Machine, Network, wait_until
from tests.processes import HANGS_AFTER

FILE = "cluster.local.yaml"
STUDY = ["--dataset", "digits", "--archs", "mobilenet", "--trials", "2", "--max-epochs", "3", "--train-size", "300"]


@pytest.fixture(scope="module")
def machines(network: Network) -> Iterator[tuple[Machine, Machine, Machine]]:
    """A laptop that can reach two others by ssh."""
    laptop, head, worker = (network.machine(number) for number in (9, 1, 2))
    key = laptop.files / ".ssh" / "id_ed25519"
    key.parent.mkdir(mode=0o700)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    for machine in (head, worker):
        machine.serve_ssh(key.with_suffix(".pub"))
        machine.write_token(None)
        (machine.files / "env").symlink_to(BIN.parent)
    for machine in (head, worker):
        wait_until(lambda machine=machine: "listening" in (machine.files / "sshd.log").read_text(), "sshd listens")
    config = yaml.safe_load((ROOT / FILE).read_text())
    config["provider"] |= {"head_ip": head.ip, "worker_ips": [worker.ip]}
    config["auth"] |= {"ssh_user": "root"}
    config["setup_commands"] = config["setup_commands"][-1:]
    config["file_mounts"] = {
        there: here if here.startswith("~") else str(ROOT / here) for there, here in config["file_mounts"].items()
    }
    (laptop.files / FILE).write_text(yaml.safe_dump(config))
    yield laptop, head, worker


def ray_processes(machine: Machine) -> list[str]:
    return [line for line in machine.processes() if "ray" in line.split("/")[-1] or "ray::" in line or "/ray/" in line]


def call(laptop: Machine, *command: str, timeout: float = HANGS_AFTER) -> str:
    """What a command on the laptop prints; it must succeed."""
    done = laptop.run(command, timeout=timeout, RAY_AUTH_MODE="token")
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def listeners(machine: Machine) -> set[str]:
    """The addresses at which something waits for connections, with their ports."""
    return {line.split()[3] for line in machine.run(["ss", "-Hltn"]).stdout.splitlines()}


def test_a_study_from_a_laptop(machines: tuple[Machine, Machine, Machine], network: Network) -> None:
    laptop, head, worker = machines
    call(laptop, "ray", "up", "-y", "--no-config-cache", FILE)
    shared = network.folder / "shared"
    shared.mkdir()
    out = call(
        laptop,
        *("ray", "submit", FILE, str(ROOT / "study" / "run.py"), "--"),
        *(*STUDY, "--seeds", "1", "--confirm", "0", "--name", "first", "--address", "auto", "--storage", str(shared)),
    )
    assert "Joined a cluster for" in out, out
    assert "Search: done in" in out, out
    assert "MobileNet-like" in out
    assert "Report: " in out
    assert "Traceback" not in out

    _the_worker_joins(head)
    assert "127.0.0.1:8265" in listeners(head)
    assert not {address for address in listeners(head) | listeners(worker) if address.endswith(":8265")} - {
        "127.0.0.1:8265"
    }

    for machine in (head, worker):
        assert machine.run(["stat", "-c", "%a", ".rays"]).stdout == "700\n"
        assert machine.run(["ls", ".rays/ray"]).stdout.count("session_2") == 1
        assert machine.run(["ls", "-A", "/tmp/ray"]).stdout == ""

    job = "ray job submit -- python -m study.run --resume --name first --seeds 2"
    out = call(laptop, "ray", "exec", FILE, job)
    assert "Final runs: MobileNet-like" in out, out
    assert "Report: " in out
    assert "succeeded" in out

    call(laptop, "ray", "rsync-down", FILE, "results/", "results")
    home = laptop.files / "results" / "first"
    assert (home / "report" / "report.html").exists()
    assert len(list(home.glob("final/*/seed-*/predictions.npz"))) in (2, 4)
    before = json.loads((home / "report" / "summary.json").read_text())
    call(laptop, "python", "-m", "analysis.report", "results/first")
    assert json.loads((home / "report" / "summary.json").read_text()) == before
    study = json.loads((home / "study.json").read_text())
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert study["environment"]["git_commit"].startswith(commit.stdout.strip())

    call(laptop, "ray", "down", "-y", FILE)
    wait_until(lambda: not ray_processes(head) and not ray_processes(worker), "Ray ends on every machine")


def _the_worker_joins(head: Machine) -> None:
    def joined() -> bool:
        settings = {"RAY_AUTH_MODE": "token", "RAY_TMPDIR": str(head.home / ".rays")}
        return "2 local.cluster.node" in head.run(["ray", "status"], **settings).stdout

    wait_until(joined, "the worker joins")
