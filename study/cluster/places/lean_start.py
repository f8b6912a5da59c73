"""Makes the starts of Ray and of Ray Tune fit a study: fewer processes and imports, and no signal handler of Ray's."""

from collections.abc import Iterator
from contextlib import contextmanager

# Private modules, because Ray has no settings for these.
from ray._private import utils as ray_utils
from ray._private.node import Node


@contextmanager
def signals_stay() -> Iterator[None]:
    """Keeps Ray from answering SIGTERM itself, by a SystemExit that Python drops if it comes inside a destructor."""
    takes = ray_utils.set_sigterm_handler
    ray_utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        ray_utils.set_sigterm_handler = takes


@contextmanager
def without_dashboard() -> Iterator[None]:
    """Keeps Ray from starting what does nothing for a study of one machine.

    Even with `include_dashboard=False` Ray starts the dashboard's server, and waits for it. The autoscaler's monitor
    would start further machines. The node's agent would serve the dashboard, unless the packages for that are missing.
    """
    methods = {name: getattr(Node, name) for name in ("start_api_server", "start_monitor")}
    missing = ray_utils.get_dashboard_dependency_error
    for name in methods:
        setattr(Node, name, lambda self, **_: None)
    ray_utils.get_dashboard_dependency_error = lambda: ImportError("a study needs no dashboard")
    try:
        yield
    finally:
        ray_utils.get_dashboard_dependency_error = missing
        for name, method in methods.items():
            setattr(Node, name, method)


@contextmanager
def trials_start_sooner() -> Iterator[None]:
    """Keeps Ray Tune from what only delays the first trial.

    Tune imports mlflow and wandb, if they are installed, to count callbacks of theirs. It gives the workers of trials
    an environment variable for another library, so no worker that Ray has started ahead could be one. If AWS's keys
    are in the environment, Tune passes them on in the same way, and trials wait for workers of their own.
    """
    # Here, since processes that do no search need no Tune.
    from ray.air._internal import usage
    from ray.tune.execution import class_cache

    counts, variables = usage.tag_callbacks, class_cache.DEFAULT_ENV_VARS
    usage.tag_callbacks, class_cache.DEFAULT_ENV_VARS = lambda callbacks: False, {}
    try:
        yield
    finally:
        usage.tag_callbacks, class_cache.DEFAULT_ENV_VARS = counts, variables
