"""To Ray: a cluster, the one that the program is connected to already, or one on this machine."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from autopanoptic.nas.executors.variables import environment

LOOPBACK = "127.0.0.1"
ADDRESS_VARIABLE = "RAY_ADDRESS"
"""Ray's own; a job that is submitted to a cluster finds the cluster's address there."""
HOST_AND_PORT = re.compile(r"\[?([^\[\]/]+?)\]?:(\d{1,5})")
"""An address as `ray start --head` prints it; others are names of Ray's own, such as `auto`."""
SECONDS_TO_ANSWER = 10.0


def require_ray() -> Any:
    """Return the package.

    Raises:
        ImportError: tells how to install it.
    """
    if find_spec("ray") is None:
        raise ImportError('RayExecutor needs Ray. Install it by: pip install "autopanoptic[ray]"')
    import ray

    return ray


class Connection:
    """Connects to Ray, and ends the connection where it has made it.

    Args:
        address: of a cluster; None for that of the environment (``RAY_ADDRESS``), and where there is none for a Ray on
            this machine, which starts and ends with the connection.
    """

    def __init__(self, address: str | None) -> None:
        self._ray = require_ray()
        self._address = address
        self._own = False
        self._handler: Any = None
        self.local = False

    def open(self, cpus: int) -> None:
        """Connect, unless that is done.

        Args:
            cpus: how many a Ray on this machine shall have; they are counted, not tied to processors.

        Raises:
            ConnectionError: when there is no cluster at the address.
            RuntimeError: when the program is connected to another one, or a Ray on this machine would be open to
                others.
        """
        if self._own and self._ray.is_initialized():
            return
        address = self._address or os.environ.get(ADDRESS_VARIABLE)
        if self._ray.is_initialized():
            self._check_same(self._address)
            return
        # Ray sets a handler of its own, which ends the program, and leaves it there.
        self._handler = signal.getsignal(signal.SIGTERM)
        try:
            if address in (None, "local"):
                self._start_local(cpus)
            else:
                self._connect(str(address))
        finally:
            if not self._own or self._handler is not signal.SIG_DFL:
                self._put_back()

    def _check_same(self, address: str | None) -> None:
        there = self._ray.get_runtime_context().gcs_address
        if address not in (None, "auto", there):
            raise RuntimeError(
                f"This program is connected to the Ray at {there} already, and not to that at {address!r}. "
                "Call ray.shutdown() first, or leave the address out to use it."
            )

    def _connect(self, address: str) -> None:
        try:
            _check_answers(address)
            self._ray.init(address=address, logging_level=logging.WARNING)
        except (OSError, OverflowError, RuntimeError, ValueError) as problem:
            raise ConnectionError(
                f"There is no Ray cluster to connect to at {address!r}: {problem}\n"
                "Start one by `ray start --head` and give the address that it prints, or leave the address out to run "
                "on this machine."
            ) from problem
        self._own = True

    def _start_local(self, cpus: int) -> None:
        try:
            with _loopback_alone():
                context = self._ray.init(
                    address="local", num_cpus=cpus, include_dashboard=False, logging_level=logging.WARNING
                )
        except BaseException:  # Ctrl-C, too, may come while some of it runs
            self._ray.shutdown()
            raise
        self._own = self.local = True
        listens = context.address_info["node_ip_address"]
        if listens != LOOPBACK:
            self.close()
            raise RuntimeError(
                f"This release of Ray ({self._ray.__version__}) would be open to others at {listens}. To run so all "
                "the same, start it by ray.init() in your program."
            )

    def close(self) -> None:
        """End what :meth:`open` has begun."""
        own, self._own, self.local = self._own, False, False
        if own:
            self._ray.shutdown()
            self._put_back()

    def _put_back(self) -> None:
        """Set the handler of SIGTERM that there was before Ray's, which other threads cannot."""
        if self._handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)


def _check_answers(address: str) -> None:
    """Refuse an address where nobody listens; Ray itself looks for somebody there for minutes.

    Raises:
        OSError: says why there is no connection.
    """
    found = HOST_AND_PORT.fullmatch(address)
    if found is not None:
        socket.create_connection((found[1], int(found[2])), SECONDS_TO_ANSWER).close()


@contextmanager
def _loopback_alone() -> Iterator[None]:
    """Let a Ray that is started here listen on this machine's own interface alone.

    By itself Ray does so on macOS and Windows; elsewhere its ports are open to the network, whatever address it is
    given. The variable reaches its processes, the constant is what this one has read of it.
    """
    from ray._private import ray_constants

    name = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    former = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        with environment({name: "0", "RAY_USAGE_STATS_ENABLED": "0"}):
            yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = former
