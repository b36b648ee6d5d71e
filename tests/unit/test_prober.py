"""A question to an application ends at its deadline, however its answer comes."""

from __future__ import annotations

import socket
import threading
import time

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
