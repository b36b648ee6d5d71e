"""The page's reader after an unforeseen failure: who asks next is read to anew, and sees nothing old."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

from service_launcher.observation import Reading
from service_launcher.web.refusals import Refused
from service_launcher.web.stream import Feed


def test_after_a_reader_that_died_the_next_who_asks_gets_a_new_one() -> None:
    begun = []
    nothing = SimpleNamespace(recorded_events=lambda stop, every: (), events=lambda limit: [])

    def live(stop: threading.Event) -> Iterator[tuple[Any, None, Reading]]:
        begun.append(stop)
        yield nothing, None, Reading((), (), None, {}, frozenset())
        if len(begun) == 1:
            raise RuntimeError("unforeseen")
        stop.wait(10)

    async def asked() -> None:
        installation: Any = SimpleNamespace(live=live, readable=lambda: (nothing, None))
        feed = Feed(installation, lambda: cast(list[dict[str, Any]], []))
        feed.open()
        async with asyncio.timeout(10):
            with contextlib.suppress(Refused):
                await feed.view()
            while feed._watch is not None:
                await asyncio.sleep(0.01)
            assert feed._view is None
            await feed.view()
        assert len(begun) == 2
        feed.close()

    threading.excepthook, before = lambda told: None, threading.excepthook
    try:
        asyncio.run(asked())
    finally:
        threading.excepthook = before
