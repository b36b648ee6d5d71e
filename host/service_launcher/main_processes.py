"""The main processes of containers on this machine: the kernel tells of their end before the Docker Engine does.

The Engine first puts away what the container had, its network above all, and that takes it 0.2 s (seen on 26.1).
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from service_launcher.containers import Container


class MainProcesses:
    """Follows the main processes of containers; `ended` is called, in another thread, when one of them ends.

    It says nothing of those that are not to be seen from here, as where the Engine is elsewhere or in a virtual
    machine, and on systems without pidfd: there the Engine's own event is the first news.
    """

    def __init__(self, ended: Callable[[int, Container], None]) -> None:
        self._ended = ended
        self._followed: dict[int, tuple[Container, int | None]] = {}  # by pid, with its descriptor
        self._lock = threading.Lock()
        self._poll: select.epoll | None = None
        self._open = -1  # the end of a pipe that is closed when all is over

    def follow(self, running: Mapping[int, Container]) -> None:
        """Follow the containers whose main processes have these pids, and no others."""
        if not hasattr(os, "pidfd_open") or not (running or self._followed):
            return
        with self._lock:
            if self._poll is None:
                self._poll = select.epoll()
                over, self._open = os.pipe()
                self._poll.register(over, select.EPOLLHUP)
                threading.Thread(target=self._read, args=(self._poll, over), daemon=True, name="main processes").start()
            for pid in self._followed.keys() - running.keys():
                self._leave(pid)
            for pid in running.keys() - self._followed.keys():
                descriptor = _pidfd(pid, running[pid])
                self._followed[pid] = running[pid], descriptor
                if descriptor is not None:
                    self._poll.register(descriptor, select.EPOLLIN)

    def close(self) -> None:
        """Follow nothing any more."""
        with self._lock:
            for pid in tuple(self._followed):
                self._leave(pid)
            if self._poll is not None:
                os.close(self._open)

    def _leave(self, pid: int) -> None:
        _, descriptor = self._followed.pop(pid)
        if descriptor is not None:
            os.close(descriptor)  # and so it is polled no more

    def _read(self, poll: select.epoll, over: int) -> None:
        with poll:
            while True:
                poll.poll()
                with self._lock:  # asked again, since a descriptor may have become another process's meanwhile
                    ended = [descriptor for descriptor, _ in poll.poll(0)]
                    if over in ended:
                        os.close(over)
                        return
                    for descriptor in ended:
                        poll.unregister(descriptor)  # it would go on saying so
                    told = [(pid, container) for pid, (container, at) in self._followed.items() if at in ended]
                for pid, container in told:
                    self._ended(pid, container)


def _pidfd(pid: int, container: Container) -> int | None:
    """A descriptor of a container's main process; None where this machine has no such process, or it is another's."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        # The Engine names the group of a container's processes by its id; elsewhere the pid is somebody else's.
        if container.id in Path("/proc", str(pid), "cgroup").read_text(encoding="ascii"):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None
