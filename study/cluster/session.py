"""Starts Ray for one study or joins a cluster, and ends the session with the study."""

import logging
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import grpc
import ray
import torch
from joblib import cpu_count

# Private modules, because Ray's public functions wait for minutes if nothing answers at an address.
from ray._private import ray_constants, services
from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
from ray._private.grpc_utils import init_grpc_channel
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
from ray.core.generated import gcs_service_pb2_grpc
from ray.core.generated.gcs_service_pb2 import CheckAliveRequest  # type: ignore[attr-defined]

from models.networks.registry import Architecture
from models.networks.user_networks import modules_of_user
from study.cluster import environment, mps
from study.cluster.capacity import Capacity, capacity
from study.cluster.places.lean_start import signals_stay, without_dashboard
from study.cluster.places.nodes import GIB, present
from study.cluster.reaper import reaping
from study.errors import BadInput, StudyFailed, one_line, say_error
from study.storage.lock import Locked, exclusive

# A cluster has at most 10 s to answer, because the user waits.
ANSWER_WITHIN_SECONDS = 10.0
# A short path, because Ray puts sockets there and their paths may have at most 107 bytes.
_TEMPORARY = Path("/tmp")
_PREFIX = "fairverdict-"
# Ray makes its folder writable for everybody. So it lies in a folder that only this account can enter.
_RAY = "r"
# The names that `_locked_directory` makes. Folders of other programs may start with the prefix, too.
_SESSION = re.compile(rf"{_PREFIX}\d+-[a-z0-9_]{{8}}")


@contextmanager
def ray_session(address: str | None) -> Iterator[Capacity]:
    """Starts Ray on this machine alone, or joins a cluster. Leaves nothing behind.

    Args:
        address: HOST:PORT of the cluster or "auto"; None starts Ray on this machine.

    Yields:
        The capacity of the machine, or of the cluster with all the nodes that it may start.

    Raises:
        BadInput: if no cluster of this Ray version answers at the address, or it refuses this process.
        StudyFailed: if Ray does not start on this machine, twice. Ray's logs are kept then.
    """
    with _settings_kept(), ExitStack() as stack:
        if address is None:
            _make_token()
            found = _start_patiently(stack)
        else:
            stack.callback(ray.shutdown)
            with signals_stay():
                _join(address)
                found = capacity()
        yield found


def send_code(architectures: Iterable[Architecture], address: str | None) -> None:
    """Lets Ray send the code of the user's own modules to a cluster, whose other machines lack them.

    Installed packages are sent by name: every machine has them.
    """
    for architecture in architectures if address is not None else ():
        for module in modules_of_user(architecture.factory):
            ray.cloudpickle.register_pickle_by_value(module)


def _start_patiently(stack: ExitStack) -> Capacity:
    """Starts Ray on this machine until the stack is closed. Tries a second time if it fails: the machine may be busy.

    Raises:
        StudyFailed: if the second try fails, too.
    """
    try:
        return _start(stack)
    except _NotStarted as error:
        say_error(f"{error}: trying once more")
    try:
        return _start(stack, keeps_logs=True)
    except _NotStarted as error:
        load, free = os.getloadavg()[0], shutil.disk_usage(_TEMPORARY).free / GIB
        raise StudyFailed(
            f"{error}, twice; the load average is {load:.1f} on {cpu_count()} CPUs, {_TEMPORARY} has {free:.1f} GiB"
            f" free{error.more}"
        ) from error


class _NotStarted(Exception):
    """Says in one line why Ray did not start.

    Attributes:
        more: says where its logs are, if they are kept.
    """

    def __init__(self, error: Exception, logs: Path | None) -> None:
        # Ray's messages go on with advice, tracebacks and lines of its logs. Its paths end with random numbers.
        reason = re.split(r"[.:]*\s*\n|\.\s", str(error).strip())[0] or type(error).__name__
        reason = re.sub(r"\S*/(\w+)_[0-9a-f]{32,}", r"\1", reason)
        super().__init__(f"Ray did not start ({reason})")
        self.more = "" if logs is None else f", and {logs} says more"


def _start(stack: ExitStack, *, keeps_logs: bool = False) -> Capacity:
    """Starts Ray on this machine until the stack is closed. Raises _NotStarted if it fails, and cleans up."""
    with ExitStack() as attempt:
        directory = attempt.enter_context(_session_directory())
        attempt.enter_context(reaping(directory.name))
        attempt.enter_context(_gpu_shared(directory))
        attempt.callback(ray.shutdown)
        try:
            with signals_stay(), without_dashboard():
                ray.init(
                    address="local",
                    num_cpus=cpu_count(),
                    include_dashboard=False,
                    _temp_dir=str(directory / _RAY),
                    log_to_driver=True,
                    # Ray also logs what it raises, and what it can do without.
                    logging_level=logging.CRITICAL,
                )
                found = Capacity(tuple(replace(node, name="") for node in present()))
        except Exception as error:  # Ray raises its base class, too
            raise _NotStarted(error, _keep_logs(directory) if keeps_logs else None) from error
        logging.getLogger("ray").setLevel(logging.ERROR)
        stack.push(attempt.pop_all())
        return found


def _keep_logs(directory: Path) -> Path | None:
    """Moves the logs out of a folder that will be removed. Returns the log that says most, if there is one."""
    logs = [path for path in directory.glob(f"{_RAY}/session_latest/logs/*") if path.is_file() and path.stat().st_size]
    if not logs:
        return None
    first = max(logs, key=lambda path: (path.stem == "raylet", path.stem == "gcs_server", path.stat().st_mtime))
    kept = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}ray-logs-", dir=_TEMPORARY))
    for path in logs:
        shutil.move(path, kept)
    return kept / first.name


@contextmanager
def _gpu_shared(directory: Path) -> Iterator[None]:
    """Starts MPS if there is a GPU, so that the workers use it at the same time. The reaper ends it."""
    started = torch.cuda.is_available() and mps.start(directory / "mps")
    try:
        yield
    finally:
        if started:
            mps.forget()


@contextmanager
def _session_directory() -> Iterator[Path]:
    """Yields a temporary folder that only this account can enter. Removes folders that killed drivers left."""
    for left in filter(lambda path: _SESSION.fullmatch(path.name), _TEMPORARY.glob(f"{_PREFIX}*")):
        with suppress(Locked, OSError), exclusive(left) as is_ours:
            if is_ours and left.stat().st_uid == os.getuid():
                shutil.rmtree(left, ignore_errors=True)
    with ExitStack() as stack:
        directory = _locked_directory(stack)
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def _locked_directory(stack: ExitStack) -> Path:
    """Makes a folder and locks it. Makes another if a driver removed it before the lock."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_TEMPORARY))
        with suppress(Locked, FileNotFoundError):
            stack.enter_context(exclusive(directory))
            if directory.exists():
                return directory


@contextmanager
def _settings_kept() -> Iterator[None]:
    """Takes back the settings of the session's Ray, so that this process can use another one afterwards."""
    try:
        with environment.kept():
            yield
    finally:
        # Ray keeps what it has read from the environment, and would ask another Ray for a token.
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()


def _make_token() -> None:
    """Gives this machine's Ray a token of its own, which only this account can read, and no file keeps."""
    environment.leave_another_ray()
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex()
    AuthenticationTokenLoader.instance().reset_cache()


def _join(address: str) -> None:
    """Joins a cluster. Raises BadInput if it cannot."""
    found = _find(address)
    try:
        ray.init(address=found, log_to_driver=True, logging_level=logging.ERROR)
    except (ray.exceptions.RayError, OSError, RuntimeError, ValueError) as error:
        raise BadInput(f"the cluster at {found} cannot be joined from here: {one_line(error)}") from error


def _find(address: str) -> str:
    """Returns the cluster's host:port. Raises BadInput unless the same Ray version answers and accepts this process."""
    try:
        found = str(services.canonicalize_bootstrap_address(address))
    except ConnectionError as error:
        raise BadInput(f"--address {address}: this machine is not part of a running Ray cluster") from error
    except ValueError as error:
        raise BadInput(f"--address {address!r} is neither auto nor HOST:PORT") from error
    try:
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
        with init_grpc_channel(found, ray_constants.GLOBAL_GRPC_OPTIONS) as channel:
            reply = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel).CheckAlive(
                CheckAliveRequest(), timeout=ANSWER_WITHIN_SECONDS
            )
    except (grpc.RpcError, ray.exceptions.AuthenticationError) as error:
        if isinstance(error, ray.exceptions.AuthenticationError) or error.code() == grpc.StatusCode.UNAUTHENTICATED:
            raise BadInput(
                f"the cluster at {found} refuses this process's token: put the cluster's into ~/.ray/auth_token"
                " or RAY_AUTH_TOKEN, and set RAY_AUTH_MODE=token"
            ) from error
        raise BadInput(f"no Ray cluster answers at {found} ({error.code().name.lower()}): check --address") from error
    if reply.ray_version != ray.__version__:
        raise BadInput(
            f"the cluster at {found} runs Ray {reply.ray_version}, and this machine Ray {ray.__version__}:"
            " install the same version"
        )
    return found
