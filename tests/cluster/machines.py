"""Machines of a small network, all of it on this one: each has processes, an address, a home and a /tmp/ray of its own.

Everything here must run inside `unshare --pid --fork --mount-proc --net --mount`, as `make test-cluster` does; what
is not ended by then ends with it.
"""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.processes import HANGS_AFTER

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
GATEWAY = "10.77.0.254"
TOKEN = "0123456789abcdef" * 4


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + HANGS_AFTER
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it hangs before: {what}")
        time.sleep(0.2)


class Network:
    """A bridge, and the machines on it. Use as a context manager.

    Args:
        folder: where the machines' homes lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # The path is short, because paths of Ray's sockets below it are limited to 107 characters.
        self.home = Path(tempfile.mkdtemp(prefix="home-", dir="/tmp"))
        self.machines: list[Machine] = []

    def __enter__(self) -> "Network":
        passwd = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("root:")]
        (self.folder / "passwd").write_text("\n".join([f"root:x:0:0:root:{self.home}:/bin/bash", *passwd]) + "\n")
        _run("ip link set lo up")
        _run("ip link add nv0 type bridge && ip addr add 10.77.0.254/24 dev nv0 && ip link set nv0 up")
        return self

    def __exit__(self, *_: object) -> None:
        for machine in self.machines:
            machine.power_off()
        _run("ip link del nv0")
        self.home.rmdir()

    def machine(self, number: int) -> "Machine":
        """Switches on the machine with the address 10.77.0.<number>."""
        machine = Machine(self, number)
        self.machines.append(machine)
        return machine


class Machine:
    """One machine. Its user is root, and its home holds the cluster's token."""

    def __init__(self, network: Network, number: int) -> None:
        self.ip = f"10.77.0.{number}"
        self._cable = f"nv{number}"
        self.files = Path(tempfile.mkdtemp(prefix=f"machine-{number}-", dir=network.folder))
        self.home = network.home
        self._started: list[subprocess.Popen[bytes]] = []
        (self.files / ".ray").mkdir()
        self.write_token(TOKEN)
        Path("/tmp/ray").mkdir(exist_ok=True)
        boot = f"""
            set -e
            mount --make-rprivate /
            mount --bind {network.folder}/passwd /etc/passwd
            mount --bind {self.files} {self.home}
            mount -t tmpfs tmpfs /tmp/ray
            mount -t tmpfs -o size=1g tmpfs /dev/shm
            ip link set lo up
            while ! ip link show eth0 > /dev/null 2>&1; do sleep 0.05; done
            ip addr add {self.ip}/24 dev eth0
            ip link set eth0 up
            ip route add default via {GATEWAY}
            touch {self.home}/.booted
            # Not exec: as any machine's first process, bash takes leave of those whose parents died.
            sleep infinity &
            wait
        """
        command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--mount", "bash", "-c", boot]
        self._outer = subprocess.Popen(command)
        wait_until(lambda: _namespace(self._outer.pid) != _namespace(os.getpid()), "a network of its own")
        _run(f"ip link add {self._cable} type veth peer name eth0 netns {self._outer.pid}")
        _run(f"ip link set {self._cable} master nv0 up")
        wait_until((self.files / ".booted").exists, f"{self.ip} boots")
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        self._init = int(children[0])

    def write_token(self, token: str | None) -> None:
        """Makes this the token in the home, or none."""
        path = self.files / ".ray" / "auth_token"
        path.unlink(missing_ok=True)
        if token is not None:
            path.write_text(token)
            path.chmod(0o600)

    def start(self, command: Sequence[str], log: Path, **environment: str) -> subprocess.Popen[bytes]:
        """Starts a command in the home; what it prints goes to the log."""
        with log.open("ab") as file:
            process = subprocess.Popen(
                self._inside(command, environment), stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._started.append(process)
        return process

    def run(
        self, command: Sequence[str], timeout: float = HANGS_AFTER, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in the home to its end."""
        return subprocess.run(
            self._inside(command, environment), capture_output=True, text=True, timeout=timeout, check=False
        )

    def ray_start(self, *arguments: str, **environment: str) -> None:
        """`ray start` with a token. The address is this machine's."""
        command = ["ray", "start", f"--node-ip-address={self.ip}", "--disable-usage-stats", *arguments]
        done = self.run(command, RAY_AUTH_MODE="token", **environment)
        if done.returncode:
            raise RuntimeError(f"{shlex.join(command)} failed:\n{done.stdout}\n{done.stderr}")

    def serve_ssh(self, public_key: Path) -> None:
        """Debian's sshd, which lets the owner of this key in as root."""
        (self.files / ".ssh").mkdir(mode=0o700, exist_ok=True)
        (self.files / ".ssh" / "authorized_keys").write_text(public_key.read_text())
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.files / "host_key"], check=True)
        Path("/run/sshd").mkdir(exist_ok=True)
        options = {
            "ListenAddress": self.ip,
            "HostKey": self.home / "host_key",
            "PidFile": "none",
            "PermitRootLogin": "prohibit-password",
            "PasswordAuthentication": "no",
            "UsePAM": "no",
            "StrictModes": "no",
        }
        flags = [f"-o{name}={value}" for name, value in options.items()]
        self.start(["/usr/sbin/sshd", "-f", "/dev/null", "-D", "-e", *flags], self.files / "sshd.log")

    def processes(self) -> list[str]:
        """The command lines of everything that runs on it, but for what keeps it on."""
        done = self.run(["ps", "-eo", "pid=,args="])
        lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
        return [args for pid, args in lines if pid != "1" and not args.startswith("ps -eo")]

    def cut_off(self) -> None:
        """Pull its cable. It goes on, but nothing reaches it."""
        _run(f"ip link set {self._cable} down")

    def power_off(self) -> None:
        """Ends it at once, as pulling the plug does: every process gets SIGKILL."""
        if self._outer.poll() is None:
            os.kill(self._init, 9)
        # It is not off before what was started in it from here has been waited for.
        for process in [*self._started, self._outer]:
            process.wait()
        # The kernel would take it away too, at a time of its own.
        _run(f"ip link del {self._cable} 2> /dev/null || ! ip link show {self._cable} 2> /dev/null")

    def _inside(self, command: Sequence[str], environment: dict[str, str]) -> list[str]:
        settings = {
            "HOME": str(self.home),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            # The code under test may lie elsewhere than the code that is installed.
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "COLUMNS": "120",
            "LANG": "C.UTF-8",
            **environment,
        }
        pairs = [f"{name}={value}" for name, value in settings.items() if value]
        # --wd would resolve the folder before it enters; cd does so after.
        script = f"cd {self.home} && exec {shlex.join(command)}"
        inside = ["nsenter", f"--target={self._init}", "--pid", "--net", "--mount"]
        return [*inside, "env", "-i", *pairs, "bash", "-c", script]


def _namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")


def _run(script: str) -> None:
    subprocess.run(script, shell=True, check=True)
