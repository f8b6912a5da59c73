"""cluster.yaml and cluster.local.yaml: what Ray makes of them, and what they promise."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from packaging.specifiers import SpecifierSet
from ray.autoscaler._private.util import _get_default_config, prepare_config, validate_config

ROOT = Path(__file__).parent.parent.parent
FILES = ("cluster.yaml", "cluster.local.yaml")
# What Ray would run, install or copy by default if a file did not say.
DEFAULTS_THAT_ACT = re.compile("commands|file|rsync|head_node_type|available_node_types|idle|upscaling|max_workers")


def raw(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return config


@pytest.fixture(params=FILES)
def config(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """As `ray up` completes and checks it, in the project's folder."""
    monkeypatch.chdir(ROOT)
    prepared: dict[str, Any] = prepare_config(raw(request.param))
    validate_config(prepared)
    return prepared


def commands(config: dict[str, Any]) -> list[str]:
    return [command for key, value in config.items() if key.endswith("_commands") for command in value]


def constraint(package: str) -> str:
    (version,) = re.findall(rf"^{package}==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    return str(version)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_does_not_fit_the_schema_is_refused(name: str) -> None:
    broken = prepare_config(raw(name)) | {"head_start_ray_commands": "ray start"}
    with pytest.raises(Exception, match="is not of type 'array'"):
        validate_config(broken)


@pytest.mark.parametrize("name", FILES)
def test_nothing_that_acts_is_left_to_a_default(name: str) -> None:
    given, defaults = raw(name), _get_default_config(raw(name)["provider"])
    assert [key for key in defaults if DEFAULTS_THAT_ACT.search(key) and key not in given] == []


def test_nothing_is_opened_to_everybody(config: dict[str, Any]) -> None:
    text = yaml.safe_dump(config)
    assert "0.0.0.0" not in text
    assert "::/0" not in text
    assert "IpPermissions" not in text
    (head,) = (command for command in config["head_start_ray_commands"] if "ray start" in command)
    assert "--head" in head
    assert "--include-dashboard=true --dashboard-host=127.0.0.1 --dashboard-port=8265" in head
    assert "--node-ip-address" not in head
    for worker in config["worker_start_ray_commands"]:
        assert "dashboard" not in worker


def test_every_ray_is_started_with_the_head_s_address_and_a_token(config: dict[str, Any]) -> None:
    for role, words in (("head", "--head --port=6379"), ("worker", "--address=$RAY_HEAD_IP:6379")):
        stop, start = config[f"{role}_start_ray_commands"]
        assert stop.startswith("ray stop")
        assert words in start
        assert "--disable-usage-stats" in start
    assert any("RAY_AUTH_MODE=token" in command for command in config["setup_commands"])
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_head_and_workers_get_the_versions_of_the_constraints(config: dict[str, Any]) -> None:
    setup = "\n".join(config["setup_commands"])
    assert set(re.findall(r"\bray==(\S+)", setup)) == {constraint("ray")} == {ray.__version__}
    assert set(re.findall(r"astral\.sh/uv/(\S+)/", setup)) == {constraint("uv")}
    assert "-c ~/fairverdict/constraints.txt" in setup
    (python,) = re.findall(r"--python (\d\S*)", setup)
    assert python == f"{sys.version_info.major}.{sys.version_info.minor}"
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert python in SpecifierSet(supported)
    assert config["head_setup_commands"] == config["setup_commands"] == config["worker_setup_commands"]


def test_all_of_the_project_is_copied(config: dict[str, Any]) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    entries = {path.split("/")[0] for path in tracked.splitlines()} | {".git"}
    mounts = {remote: local for remote, local in config["file_mounts"].items() if remote.startswith("~/fairverdict/")}
    assert mounts == {f"~/fairverdict/{entry}": entry for entry in entries}


def test_aws_workers_are_spot_machines_that_scale_from_none() -> None:
    types = raw("cluster.yaml")["available_node_types"]
    head, worker = types["head"], types["worker"]
    assert (worker["min_workers"], worker["resources"]["GPU"]) == (0, 1)
    assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert "InstanceMarketOptions" not in head["node_config"]
    assert head["resources"] == {"CPU": 0}
    assert head["node_config"]["LaunchTemplate"] == worker["node_config"]["LaunchTemplate"]
    for node in (head, worker):
        assert node["node_config"]["MetadataOptions"]["HttpTokens"] == "required"
        assert node["node_config"]["LaunchTemplate"]["Version"].isdecimal()
    assert raw("cluster.yaml")["provider"]["cache_stopped_nodes"] is False
