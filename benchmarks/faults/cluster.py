"""A Ray cluster of this machine, in a process of its own, which listens on this machine's own interface alone.

Run as ``python -m benchmarks.faults.cluster CPUS...``: one node for each number. It prints the address, and obeys what
comes on its input: ``add CPUS`` adds a node, ``remove`` takes the one away that was added last, without a word to it;
at the end of the input it ends with all nodes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autopanoptic.nas.executors.variables import environment

ROOT = Path(__file__).parents[2]
ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Without it a program that connects takes the loopback's address for one of the network."""


class Cluster:
    """The process, and what it is told.

    Attributes:
        address: of the cluster.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address = self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().strip()
        if not answer:
            raise RuntimeError("The cluster has not answered; what it prints stands above.")
        return answer

    def tell(self, command: str) -> None:
        """Give a command, and wait until it is done."""
        assert self._process.stdin is not None
        print(command, file=self._process.stdin, flush=True)
        self._answer()


@contextmanager
def cluster(*cpus: int) -> Iterator[Cluster]:
    """Run a cluster with nodes of so many processors each; what is started in the block finds it."""
    command = [sys.executable, "-m", "benchmarks.faults.cluster", *map(str, cpus)]
    own = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**own, **ON_LOOPBACK, "RAY_USAGE_STATS_ENABLED": "0"},
    ) as process:
        try:
            found = Cluster(process)
            with environment({**ON_LOOPBACK, "RAY_ADDRESS": found.address}):
                yield found
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)


def main() -> None:
    from ray._private import ray_constants

    ray_constants.ENABLE_RAY_CLUSTER = False  # all nodes are on this machine, and open to nobody else
    from ray.cluster_utils import Cluster as RayCluster

    head, *others = map(int, sys.argv[1:])
    made = RayCluster(initialize_head=True, head_node_args={"num_cpus": head, "include_dashboard": False})
    nodes = [made.add_node(num_cpus=cpus) for cpus in others]
    print(made.address, flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "add":
            nodes.append(made.add_node(num_cpus=int(arguments[0])))
        else:
            made.remove_node(nodes.pop(), allow_graceful=False)
        print("done", flush=True)
    made.shutdown()


if __name__ == "__main__":
    main()
