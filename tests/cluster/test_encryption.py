"""A cluster whose nodes encrypt what they say, with the certificates of docs/cluster.md."""

import re
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.machines import ROOT, Machine
from tests.processes import OWN_NETWORKS

STUDY = [
    *("python", *OWN_NETWORKS, "--dataset", "digits", "--train-size", "100", "--archs", "tiny", "--baseline"),
    *("--max-epochs", "1", "--seeds", "2", "--address", "auto", "--name", "secret"),
]


def certify(folder: Path, addresses: list[str]) -> None:
    """Make the certificates in a folder with the commands of the page."""
    page = (ROOT / "docs" / "cluster.md").read_text()
    (script,) = re.findall(r"\n\n((?:    .*\n)*    openssl req -x509(?:.*\n    )*done\n)", page)
    script = script.replace("192.0.2.1 192.0.2.2", " ".join(addresses))
    subprocess.run(["bash", "-e", "-c", script], cwd=folder, check=True, capture_output=True)


def certificate(folder: Path, address: str) -> dict[str, str]:
    """Return the variables of the page for a node."""
    own = {"SERVER_CERT": f"{address}.crt", "SERVER_KEY": f"{address}.key", "CA_CERT": "authority.crt"}
    return {"RAY_USE_TLS": "1"} | {f"RAY_TLS_{name}": str(folder / file) for name, file in own.items()}


def test_a_study_on_encrypted_nodes(machine: Callable[[int], Machine], tmp_path: Path) -> None:
    head, node, stranger = (machine(number) for number in (1, 2, 3))
    certify(tmp_path, [head.ip, node.ip])
    own = {one: certificate(tmp_path, one.ip) for one in (head, node)}
    head.ray_start("--head", "--port=6379", "--num-cpus=0", "--include-dashboard=false", **own[head])
    with pytest.raises(RuntimeError, match="failed"):
        stranger.ray_start(f"--address={head.ip}:6379", "--num-cpus=1", RAY_gcs_rpc_server_reconnect_timeout_s="5")
    node.ray_start(f"--address={head.ip}:6379", "--num-cpus=1", **own[node])

    look = f"import ssl; print(ssl.get_server_certificate(('{head.ip}', 6379)))"
    shown = node.run(["python", "-c", look]).stdout
    assert ssl.PEM_cert_to_DER_cert(shown) == ssl.PEM_cert_to_DER_cert((tmp_path / f"{head.ip}.crt").read_text())
    storage = ["--storage", str(tmp_path / "shared")]
    done = head.run([*STUDY, *storage], RAY_AUTH_MODE="token", **own[head])
    assert done.returncode == 0, done.stdout + done.stderr
    assert (head.files / "results" / "secret" / "report" / "report.html").exists()
