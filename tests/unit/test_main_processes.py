"""The end of a container's main process is told at once, and a pid that means another process here tells nothing."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections.abc import Iterator

import pytest
from service_launcher.containers import NONE, Container
from service_launcher.main_processes import MainProcesses

#: Stands in the group of every process, as a container's id does in the groups of its own.
HERE = ":/"


Told = tuple[int, Container]


def container(container_id: str) -> Container:
    return Container(container_id, "tools-kestra", "", "", "running", None, NONE, ())


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as running:
        yield running
        running.kill()


@pytest.fixture
def told() -> queue.SimpleQueue[Told]:
    return queue.SimpleQueue()


@pytest.fixture
def processes(told: queue.SimpleQueue[Told]) -> Iterator[MainProcesses]:
    following = MainProcesses(lambda pid, container: told.put((pid, container)))
    yield following
    closed(following)


def closed(following: MainProcesses) -> None:
    """Close it, and see its thread end."""
    following.close()
    for thread in threading.enumerate():
        if thread.name == "main processes":
            thread.join(5)
            assert not thread.is_alive()


def test_an_end_is_told_once(
    process: subprocess.Popen[bytes], processes: MainProcesses, told: queue.SimpleQueue[Told]
) -> None:
    processes.follow({process.pid: container(HERE)})
    process.kill()
    assert told.get(timeout=5) == (process.pid, container(HERE))
    process.wait()
    with subprocess.Popen(["sleep", "60"]) as second:
        processes.follow({second.pid: container(HERE)})
        second.kill()
        assert told.get(timeout=5) == (second.pid, container(HERE))
    assert told.empty()


def test_what_is_not_followed_any_more_is_not_told(
    process: subprocess.Popen[bytes], processes: MainProcesses, told: queue.SimpleQueue[Told]
) -> None:
    with subprocess.Popen(["sleep", "60"]) as second:
        processes.follow({process.pid: container(HERE), second.pid: container(HERE)})
        processes.follow({second.pid: container(HERE)})
        process.kill()
        process.wait()
        second.kill()
        assert told.get(timeout=5) == (second.pid, container(HERE))
    assert told.empty()


def test_a_pid_of_somebody_else_or_of_nobody_tells_nothing(
    process: subprocess.Popen[bytes], processes: MainProcesses, told: queue.SimpleQueue[Told]
) -> None:
    """As where the Engine is on another machine."""
    with subprocess.Popen(["sleep", "60"]) as ours:
        processes.follow({process.pid: container("f" * 64), 2**22 + 1: container("0" * 64), ours.pid: container(HERE)})
        process.kill()
        process.wait()
        ours.kill()
        assert told.get(timeout=5) == (ours.pid, container(HERE))
    assert told.empty()


def test_it_leaves_nothing_open(process: subprocess.Popen[bytes]) -> None:
    told: queue.SimpleQueue[Told] = queue.SimpleQueue()
    before = os.listdir("/proc/self/fd")
    following = MainProcesses(lambda pid, container: told.put((pid, container)))
    following.follow({process.pid: container(HERE)})
    process.kill()
    told.get(timeout=5)
    assert len(os.listdir("/proc/self/fd")) > len(before)
    closed(following)
    assert os.listdir("/proc/self/fd") == before
