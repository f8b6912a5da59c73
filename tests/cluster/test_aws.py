"""cluster.account.yaml and cluster.yaml against moto's AWS: what exists after them, and who may do what."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from tests.processes import HANGS_AFTER

ROOT = Path(__file__).parent.parent.parent
REGION = "us-west-2"
IMAGE_PARAMETER = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
IMAGE = "ami-1234567890abcdef0"


@pytest.fixture(scope="module")
def aws() -> Iterator[None]:
    """moto's server as AWS for this module, with the account prepared as cluster.account.yaml says."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    settings = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
    }
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        _wait_until_it_answers(port)
        boto3.client("ssm").put_parameter(Name="/image", Value=IMAGE, Type="String")
        boto3.client("cloudformation").create_stack(
            StackName="fairverdict",
            # moto does not know the public parameter that names the image.
            TemplateBody=(ROOT / "cluster.account.yaml").read_text().replace(IMAGE_PARAMETER, "/image"),
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in {"Bucket": "studies", "SshFrom": "203.0.113.7/32"}.items()
            ],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        yield
    finally:
        server.kill()
        server.wait()
        os.environ.clear()
        os.environ.update(before)


def _wait_until_it_answers(port: int) -> None:
    deadline = time.monotonic() + HANGS_AFTER
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("moto's server does not answer")


def _policies(role: str) -> list[dict[str, Any]]:
    """Every statement that holds for a role."""
    iam = boto3.client("iam")
    statements = []
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    for policy in attached:
        arn = policy["PolicyArn"]
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        statements += (json.loads(document) if isinstance(document, str) else document)["Statement"]
    assert iam.list_role_policies(RoleName=role)["PolicyNames"] == []
    return statements


def _role(profile: str) -> str:
    (role,) = boto3.client("iam").get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
    return str(role["RoleName"])


def _actions(statements: list[dict[str, Any]]) -> set[str]:
    return {
        action
        for statement in statements
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }


BUCKET_ACTIONS = {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"}


def test_a_worker_may_use_the_bucket_and_nothing_else(aws: None) -> None:
    statements = _policies(_role("fairverdict-worker"))
    assert _actions(statements) == BUCKET_ACTIONS
    resources = {statement["Resource"] for statement in statements}
    assert resources == {"arn:aws:s3:::studies", "arn:aws:s3:::studies/*"}


def test_the_head_may_also_run_the_workers_of_this_cluster(aws: None) -> None:
    statements = _policies(_role("fairverdict-head"))
    more = {
        *("ec2:DescribeInstances", "ec2:DescribeInstanceStatus", "ec2:DescribeTags"),
        *("ec2:RunInstances", "ec2:CreateTags", "ec2:TerminateInstances", "iam:PassRole"),
    }
    assert _actions(statements) == BUCKET_ACTIONS | more
    for statement in statements:
        if statement["Resource"] == "*":
            assert all(action.startswith("ec2:Describe") for action in _actions([statement]))
        if _actions([statement]) & {"ec2:TerminateInstances", "ec2:CreateTags"}:
            assert statement["Condition"]["StringEquals"]
        if "iam:PassRole" in _actions([statement]):
            assert statement["Resource"].endswith(f"role/{_role('fairverdict-worker')}")


def test_machines_are_as_the_file_says_and_open_to_nothing_but_ssh(
    aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.autoscaler._private.providers import _get_node_provider
    from ray.autoscaler._private.util import prepare_config, validate_config

    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    monkeypatch.chdir(ROOT)
    config = prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text()))
    validate_config(config)
    config = type(_get_node_provider(config["provider"], "fairverdict")).bootstrap_config(config)
    provider = _get_node_provider(config["provider"], "fairverdict", use_cache=False)
    for name in ("head", "worker"):
        node = config["available_node_types"][name]
        kind = {"ray-node-type": name, "ray-node-name": name, "ray-user-node-type": name, "ray-launch-config": name}
        provider.create_node(node["node_config"], kind | {"ray-node-status": "uninitialized"}, 1)
    ec2 = boto3.client("ec2")
    machines = {
        next(tag["Value"] for tag in machine["Tags"] if tag["Key"] == "ray-node-type"): machine
        for reservation in ec2.describe_instances()["Reservations"]
        for machine in reservation["Instances"]
    }
    assert {name: machine["InstanceType"] for name, machine in machines.items()} == {
        "head": "m7i.large",
        "worker": "g6.xlarge",
    }
    for name, machine in machines.items():
        assert machine["ImageId"] == IMAGE
        assert machine["IamInstanceProfile"]["Arn"].endswith(f"instance-profile/fairverdict-{name}")
        assert {"Key": "ray-cluster-name", "Value": "fairverdict"} in machine["Tags"]
        (group,) = machine["SecurityGroups"]
        assert group["GroupName"] == "fairverdict"
    assert machines["worker"]["InstanceLifecycle"] == "spot"
    assert "InstanceLifecycle" not in machines["head"]
    (group,) = ec2.describe_security_groups(GroupIds=[group["GroupId"]])["SecurityGroups"]
    inside, outside = sorted(group["IpPermissions"], key=lambda rule: rule["IpProtocol"])
    assert (outside["FromPort"], outside["ToPort"], outside["IpProtocol"]) == (22, 22, "tcp")
    assert [source["CidrIp"] for source in outside["IpRanges"]] == ["203.0.113.7/32"]
    assert [pair["GroupId"] for pair in inside["UserIdGroupPairs"]] == [group["GroupId"]]
    assert not inside["IpRanges"]
