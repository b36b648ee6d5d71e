"""A question to an application ends at its deadline, however its answer comes."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from service_launcher import prober


def test_an_answer_in_drops_has_no_more_time_than_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not ended.wait(0.1):
                    connection.sendall(b".")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        began = time.monotonic()
        answer = prober.http(f"http://127.0.0.1:{server.getsockname()[1]}/", seconds=0.5)
        took = time.monotonic() - began
        ended.set()
        thread.join(5)
    assert answer.failure == "no answer within 0.5 s"
    assert not answer.ok
    assert took < 1.2


@pytest.mark.parametrize(("length", "whole"), [(10, True), (prober.MAX_BYTES - 1, True), (prober.MAX_BYTES + 1, False)])
def test_of_a_long_answer_there_is_the_beginning(length: int, whole: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer_once() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(f"HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n".encode() + b"x" * length)

        thread = threading.Thread(target=answer_once, daemon=True)
        thread.start()
        answer = prober.http(f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join(5)
    assert (answer.status, answer.whole) == (200, whole)
    assert len(answer.body) == min(length, prober.MAX_BYTES)
