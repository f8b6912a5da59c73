"""moto's server as the S3 of a network of machines: with versions of every object, and with access by key alone."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3

from tests.cluster.machines import GATEWAY, ROOT, wait_until

PORT = 5000
ENDPOINT = f"http://{GATEWAY}:{PORT}"
BUCKET = "studies"
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


class S3:
    """Use as a context manager."""

    def __enter__(self) -> "S3":
        command = [sys.executable, "-W", "ignore", "-m", "tests.cluster.s3_server", GATEWAY, str(PORT)]
        self._server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers, "moto answers")
        self._keys = {"aws_access_key_id": "setup", "aws_secret_access_key": "setup"}
        self._client("s3").create_bucket(Bucket=BUCKET)
        versioning = {"Status": "Enabled"}
        self._client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=versioning)
        iam = self._client("iam")
        iam.create_user(UserName="driver")
        iam.put_user_policy(UserName="driver", PolicyName="s3", PolicyDocument=json.dumps(POLICY))
        key = iam.create_access_key(UserName="driver")["AccessKey"]
        self._keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        # From now on moto refuses who has no key.
        plain = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{ENDPOINT}/moto-api/reset-auth", data=b"0", headers=plain)
        urllib.request.urlopen(request).close()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.kill()
        self._server.wait()

    def uri(self, bucket: str = BUCKET) -> str:
        return f"s3://{bucket}/checkpoints?endpoint_override={quote(ENDPOINT, safe='')}&region=us-east-1"

    def give_credentials(self, home: Path) -> None:
        (home / ".aws").mkdir(exist_ok=True)
        lines = [f"{name} = {value}" for name, value in self._keys.items()]
        (home / ".aws" / "credentials").write_text("\n".join(["[default]", *lines]) + "\n")

    def saved(self) -> dict[str, list[bytes]]:
        """What each checkpoint held, the oldest first, deleted ones too."""
        client = self._client("s3")
        contents: dict[str, list[bytes]] = {}
        for page in client.get_paginator("list_object_versions").paginate(Bucket=BUCKET):
            for version in page.get("Versions", []):
                if version["Size"]:
                    key = {"Key": version["Key"], "VersionId": version["VersionId"]}
                    content = client.get_object(Bucket=BUCKET, **key)["Body"].read()
                    contents.setdefault(version["Key"], []).insert(0, content)  # S3 lists the newest first
        return contents

    def objects(self) -> list[str]:
        """What is there now, but for empty objects that stand for folders."""
        found = self._client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [entry["Key"] for entry in found if entry["Size"]]

    def puts(self, prefix: str) -> int:
        """Return how many objects with names of this beginning were written, those that stand for folders included."""
        pages = self._client("s3").get_paginator("list_object_versions").paginate(Bucket=BUCKET, Prefix=prefix)
        return sum(len(page.get("Versions", [])) for page in pages)

    def go_away(self, seconds: float) -> None:
        """Answers nothing for so long."""
        with self.away():
            time.sleep(seconds)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Answers nothing until the block ends."""
        self._server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._server.send_signal(signal.SIGCONT)

    def _client(self, service: str) -> Any:
        os.environ.pop("AWS_PROFILE", None)
        return boto3.client(service, endpoint_url=ENDPOINT, region_name="us-east-1", **self._keys)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{ENDPOINT}/moto-api/", timeout=2).close()
        except OSError:
            return False
        return True
