"""What cannot work on a cluster is one clear line, in under a minute."""

from collections.abc import Iterator

import pytest

from tests.cluster.machines import TOKEN, Machine, Network
from tests.cluster.storage import S3
from tests.pace import within

STUDY = ["python", "-m", "study.run", "--dataset", "digits", "--train-size", "150", "--trials", "1"]
OTHER_VERSION = """
import sys
import ray
ray.__version__ = "2.59.1"
from study.run import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def head(network: Network) -> Iterator[Machine]:
    head = network.machine(1)
    head.ray_start("--head", "--port=6379", "--num-cpus=1", "--include-dashboard=false")
    yield head
    for started in network.machines:
        started.power_off()
    network.machines.clear()


def refusal(head: Machine, *arguments: str, command: list[str] | None = None, **environment: str) -> str:
    """The one line that a study with these arguments ends with."""
    with within(60):
        done = head.run([*(command or STUDY), *arguments], **{"RAY_AUTH_MODE": "token", **environment})
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert not (head.files / "results").exists() or not list((head.files / "results").iterdir())
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_a_wrong_token_is_refused(head: Machine) -> None:
    head.write_token("f" * 64)
    try:
        assert "refuses this process's token" in refusal(head, "--address", "auto")
    finally:
        head.write_token(TOKEN)


@pytest.mark.parametrize("mode", ["token", ""])
def test_no_token_is_refused(head: Machine, mode: str) -> None:
    head.write_token(None)
    try:
        assert "refuses this process's token" in refusal(head, "--address", "auto", RAY_AUTH_MODE=mode)
    finally:
        head.write_token(TOKEN)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("10.77.0.9:6379", "no Ray cluster answers at 10.77.0.9:6379"),
        ("10.77.0.1:6380", "no Ray cluster answers at 10.77.0.1:6380"),
        ("somewhere", "neither auto nor HOST:PORT"),
        ("ray://10.77.0.1:10001", "neither auto nor HOST:PORT"),
    ],
)
def test_an_address_where_no_cluster_answers(head: Machine, address: str, words: str) -> None:
    assert words in refusal(head, "--address", address)


def test_a_machine_that_is_part_of_no_cluster(head: Machine, network: Network) -> None:
    assert "not part of a running Ray cluster" in refusal(network.machine(2), "--address", "auto")


def test_a_cluster_without_the_gpus_that_are_asked_for(head: Machine) -> None:
    assert "needs a GPU, and there is none" in refusal(head, "--address", "auto", "--gpus-per-trial", "0.5")


def test_another_version_of_ray(head: Machine) -> None:
    line = refusal(head, *STUDY[3:], "--address", "auto", command=["python", "-c", OTHER_VERSION])
    assert "runs Ray 2.60.0, and this machine Ray 2.59.1" in line


def test_no_such_bucket(head: Machine, s3: S3) -> None:
    s3.give_credentials(head.files)
    line = refusal(head, "--address", "auto", "--storage", s3.uri("nobodys"))
    assert "cannot be written from here" in line
    assert line.endswith(": make the bucket, or correct --storage")


def test_no_credentials(head: Machine, s3: S3) -> None:
    (head.files / ".aws" / "credentials").unlink(missing_ok=True)
    line = refusal(head, "--address", "auto", "--storage", s3.uri())
    assert "cannot be written from here" in line
    assert "give this machine AWS credentials for it" in line


def test_a_folder_that_another_node_does_not_see(head: Machine, network: Network) -> None:
    other = network.machine(3)
    other.ray_start(f"--address={head.ip}:6379", "--num-cpus=1")
    for storage in ([], ["--storage", "/tmp/ray/here"]):
        line = refusal(head, "--address", "auto", *storage)
        assert "the node 10.77.0.3 does not see" in line
    other.power_off()
