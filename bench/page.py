"""Measures the served page: row changes in a real browser, the status at 100 requests a second, idle cost, weight.

    scripts/bench page [--quick]

Run on a private Docker Engine, in a network namespace of its own. Seconds are of a wall clock; the processor's time is
the server process' own, which works on its containers' engine through a socket.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import urllib3
from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.table import Table

from bench.measure import many_services
from tests.browser.conftest import CHROMIUM, QUIET
from tests.engines import PrivateEngine, wait_for
from tests.installations import Installation
from tests.web.served import Served, copied

CHECKOUT = Path(__file__).resolve().parent.parent
KILLS = 20
MANY = 50
FEW = 10
RATE = 100
SIDE_BY_SIDE = 16
LINGER = 27.0  # the server looks for another 20 to 25 s after the last client has gone


@dataclass
class Figure:
    """One line of the result."""

    name: str
    value: float
    unit: str
    goal: float

    @property
    def met(self) -> bool:
        """Whether the goal was reached."""
        return self.value <= self.goal


def added(installation: Installation, folder: Path, number: int) -> dict[str, str]:
    """Run so many services beside Kestra's two; what the launcher has to be exported to find them."""
    folder.mkdir()
    exported = many_services(folder, installation.root, number)
    done = installation.compose_file("tools/compose/docker-compose.many.yml", "up", "-d")
    assert done.code == 0, done.text
    return exported


def settled(served: Served) -> None:
    """Wait until nothing is on its way up: then everything is looked at every 5 s."""

    def moving() -> list[str]:
        return [s["id"] for s in served.call("GET", "/api/status").json()["services"] if s["state"] == "starting"]

    wait_for(lambda: not moving(), 120, "everything has settled", every=0.5)


def kill_to_row(served: Served, page: Page, rounds: int) -> tuple[float, float]:
    """Seconds to the changed row in the browser's document: from the engine's event, and from the end of `docker kill`.

    Medians; the second one is negative where the row has changed before the command returns.
    """
    from_event, from_command = [], []
    page.evaluate(
        """() => { window.changes = []; new MutationObserver((all) => { for (const m of all)
        window.changes.push([m.target.dataset.container, Date.now()]); }).observe(document.querySelector('#view'),
        {subtree: true, attributes: true, attributeFilter: ['data-container']}); }"""
    )
    for _ in range(rounds):
        page.wait_for_selector("tr[data-service=kestra-orchestrator][data-state=ready]", timeout=60_000)
        page.evaluate("window.changes.length = 0")
        since = time.time()
        served.installation.engine.docker("kill", "tools-kestra")
        returned = time.time()
        changed = wait_for(
            lambda: next((at for word, at in page.evaluate("window.changes") if word == "exited"), None), 10, "a change"
        )
        died = [e for e in served.installation.engine.events(since) if e.get("Action") == "die"]
        at = float(str(changed)) / 1000
        from_event.append(at - int(str(died[0]["timeNano"])) / 1e9)
        from_command.append(at - returned)
        served.ended(served.begin("start"))
    return statistics.median(from_event), statistics.median(from_command)


def p99(served: Served, seconds: int) -> float:
    """Milliseconds within which 99 of 100 answers to `GET /api/status` come, at a steady rate."""
    http = urllib3.HTTPConnectionPool("127.0.0.1", served.port, maxsize=SIDE_BY_SIDE)

    def one(due: float) -> float:
        threading.Event().wait(due - time.perf_counter())
        began = time.perf_counter()
        answer = http.request("GET", "/api/status")
        assert answer.status == 200
        return time.perf_counter() - began

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        warm = time.perf_counter()
        list(pool.map(one, [warm] * SIDE_BY_SIDE))
        began = time.perf_counter()
        taken = list(pool.map(one, (began + number / RATE for number in range(RATE * seconds))))
    return statistics.quantiles(taken, n=100)[98] * 1000


def share(served: Served, seconds: float) -> float:
    """Per cent of a core that the server's process uses."""
    process = psutil.Process(served.process.pid)

    def used() -> float:
        times = process.cpu_times()
        return times.user + times.system

    before, began = used(), time.monotonic()
    wait_for(lambda: time.monotonic() - began > seconds, seconds + 5, "time passes", every=1)
    return 100 * (used() - before) / (time.monotonic() - began)


def weight(served: Served, page: Page) -> float:
    """Kilobytes of the page and all its files, compressed."""
    urls: set[str] = set()
    page.on("request", lambda request: urls.add(request.url))
    page.goto(served.address)
    page.wait_for_selector("tr.service")
    files = [url for url in urls if "/api/" not in url]
    assert all(url.startswith(served.address) for url in files), files
    sizes = [
        len(subprocess.run(["curl", "-s", "-H", "Accept-Encoding: gzip", url], capture_output=True, check=True).stdout)
        for url in files
    ]
    return sum(sizes) / 1000


def browsing(served: Served, look: Callable[[Page], None]) -> None:
    """Something with the page, signed in."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page()
        page.goto(served.code())
        page.wait_for_selector("#connection.live")
        look(page)
        browser.close()


def measured(engine: PrivateEngine, folder: Path, quick: bool) -> list[Figure]:
    """Every figure."""
    figures: list[Figure] = []
    installation = copied(CHECKOUT, folder / "few", engine)
    with Served.started(installation) as served:
        served.ended(served.begin("start"))

        def few(page: Page) -> None:
            event, command = kill_to_row(served, page, 5 if quick else KILLS)
            figures.append(Figure("engine's event of a kill to changed row, median", event, "s", 0.1))
            figures.append(Figure("end of docker kill to changed row, median", command, "s", 0.1))
            figures.append(Figure("weight of the page, compressed", weight(served, page), "kB", 100))

        browsing(served, few)
    with Served.started(installation, **added(installation, folder / "plugin-few", FEW - 2)) as served:
        settled(served)
        period = 15 if quick else 60

        def look(page: Page) -> None:
            wait_for(lambda: page.locator("tr.service").count() == FEW, 10, "all rows")
            share(served, 6)
            figures.append(Figure(f"server, {FEW} services, page open", share(served, period), "% of a core", 0.5))

        browsing(served, look)
        share(served, LINGER)
        figures.append(Figure(f"server, {FEW} services, page closed", share(served, period), "% of a core", 0.05))
        figures.append(Figure("memory of the server", served.memory / 1e6, "MB", 120))
    engine.wipe()
    installation = copied(CHECKOUT, folder / "many", engine)
    with Served.started(installation, **added(installation, folder / "plugin-many", MANY - 2)) as served:
        settled(served)
        value = p99(served, 10 if quick else 30)
        figures.append(Figure(f"GET /api/status, {MANY} services, {RATE} a second, p99", value, "ms", 20))
    return figures


def main() -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, PrivateEngine.started("page-bench", images=True) as engine:
        figures = measured(engine, Path(folder), "--quick" in sys.argv)
    table = Table("figure", "goal", "seen", "met")
    for figure in figures:
        table.add_row(
            figure.name, f"≤ {figure.goal:g} {figure.unit}", f"{figure.value:.3g}", "yes" if figure.met else "NO"
        )
    Console(width=110).print(table)
    print(json.dumps([{**asdict(figure), "met": figure.met} for figure in figures]))
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
