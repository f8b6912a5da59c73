"""Makes Ray's start on this machine fit a study: fewer processes, and no signal handler of Ray's own."""

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
    """Keeps Ray from starting two processes that do nothing for a study of one machine.

    Even with `include_dashboard=False` Ray starts the dashboard's server, and waits for it. The autoscaler's monitor
    would start further machines.
    """
    methods = {name: getattr(Node, name) for name in ("start_api_server", "start_monitor")}
    for name in methods:
        setattr(Node, name, lambda self, **_: None)
    try:
        yield
    finally:
        for name, method in methods.items():
            setattr(Node, name, method)
