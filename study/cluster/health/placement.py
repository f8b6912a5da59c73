"""Says on which nodes runs may be made, and with which resources."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray

from study.cluster.health.attempts import RETRIES
from study.errors import OtherCode, StorageFailed, UnfitNode

# Ray gives every node this label.
_NODE_ID = "ray.io/node-id"


class Placement:
    """Keeps runs away from nodes with other code, and from nodes that cannot use the storage.

    If no other node is left, the storage is tried again on every node, because it may be full for all.

    Args:
        cpus: the CPUs of each run.
        gpus: the share of a GPU of each run.
        say: is given a line for each node that gets no more work.
        nodes: returns all nodes as `ray.nodes` does.
    """

    def __init__(
        self,
        cpus: float,
        gpus: float,
        say: Callable[[str], None],
        nodes: Callable[[], Sequence[Mapping[str, Any]]] | None = None,
    ) -> None:
        self._needs = {"CPU": cpus, "GPU": gpus}
        self._say = say
        self._nodes = nodes or ray.nodes
        self._other_code: set[str] = set()
        self._no_storage: set[str] = set()
        self._not_kept: Counter[str] = Counter()

    def __contains__(self, node: object) -> bool:
        """Return whether a node, by Ray's id of it, may get runs."""
        return node not in self._other_code and node not in self._no_storage

    @property
    def bundle(self) -> dict[str, float]:
        """Return the resources of a run by Ray's names."""
        return dict(self._needs)

    @property
    def labels(self) -> dict[str, str]:
        """Return Ray's label selector of a run; {} if every node may get it."""
        avoided = sorted(self._other_code | self._no_storage)
        return {_NODE_ID: f"!in({','.join(avoided)})"} if avoided else {}

    @property
    def options(self) -> dict[str, Any]:
        """Return Ray's options of a task that takes the place of a run."""
        return {"num_cpus": self._needs["CPU"], "num_gpus": self._needs["GPU"], "label_selector": self.labels}

    def avoid(self, run: str, error: UnfitNode) -> None:
        """Take note that an attempt at a run failed on a node that is unfit. The next attempt is made elsewhere.

        Raises:
            StorageFailed: if the run's checkpoints could not be kept in as many attempts.
            OtherCode: if every node that could make a run has other code.
        """
        if isinstance(error, StorageFailed):
            self._not_kept[run] += 1
            if self._not_kept[run] > RETRIES:
                raise StorageFailed(self._describe(error))
            self._avoid(self._no_storage, error, "the runs go to other nodes")
        else:
            self.avoid_code(error)

    def avoid_code(self, error: UnfitNode) -> None:
        """Give no work to a node with other code. Raises OtherCode if every node that could make a run has it."""
        self._avoid(self._other_code, error, "it gets no work")

    def _avoid(self, nodes: set[str], error: UnfitNode, then: str) -> None:
        if error.node is None or error.node not in self:
            return
        nodes.add(error.node)
        if not self._is_any_left():
            self._no_storage.clear()
        if isinstance(error, OtherCode) and not self._is_any_left():
            raise OtherCode(f"{self._describe(error)}; no other node can make a run")
        if error.node not in self:
            self._say(f"{self._describe(error)}; {then}")

    def _describe(self, error: UnfitNode) -> str:
        """Return the line of an error with the address of its node. A storage needs none if there is one node."""
        nodes = self._nodes()
        address = next((node["NodeManagerAddress"] for node in nodes if node["NodeID"] == error.node), None)
        if isinstance(error, OtherCode):
            return f"the node {address} has other code than this process ({error})"
        is_alone = sum(bool(node["Alive"]) for node in nodes) == 1
        return str(error) if address is None or is_alone else f"on the node {address}, {error}"

    def _is_any_left(self) -> bool:
        return any(
            node["Alive"]
            and node["NodeID"] in self
            and all(node["Resources"].get(name, 0.0) >= amount for name, amount in self._needs.items())
            for node in self._nodes()
        )
