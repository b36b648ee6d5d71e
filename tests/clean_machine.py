"""A bare Debian as a chroot, for what an operator types on a fresh machine: no Python, no docker command, no launcher.

Its Engine is a private one, its network that of the tests. Packages come through a proxy that stands with one leg in
the machine's own network, which `scripts/test` names in LAUNCHER_MACHINE_NETWORK.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit

from tests import network
from tests.engines import CACHE, PrivateEngine
from tests.installations import Done

BASE = "local/debian:trixie"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
#: Each mount as `mount` wants it; the chroot's own namespace takes them all with it when the command ends.
ENTER = """
set -e
root=$1; shift
mount --rbind /dev "$root/dev"; mount -t proc proc "$root/proc"; mount --rbind /sys "$root/sys"
while [ "$1" != -- ]; do mount --bind "$1" "$root$2"; shift 2; done; shift
exec chroot "$root" /bin/bash -c "$1"
"""


@dataclass
class CleanMachine:
    """The chroot: where it is, what of the real machine it sees (path there, path in it), and its environment."""

    root: Path
    seen: dict[Path, Path]
    environment: dict[str, str]

    @classmethod
    @contextlib.contextmanager
    def made(cls, folder: Path, engine: PrivateEngine, checkout: Path) -> Iterator[CleanMachine]:
        """A fresh one, with a checkout at the same place inside and outside, until the end of the block."""
        root, archive = folder / "machine", folder / "machine.tar"
        root.mkdir()
        container = engine.docker("create", BASE)
        engine.docker("export", "--output", str(archive), container)
        engine.docker("rm", container)
        subprocess.run(["tar", "-C", str(root), "-xf", str(archive)], check=True)
        archive.unlink()
        seen = {
            checkout: checkout,
            engine.socket: Path("/run/docker.sock"),
            # What a build here would make again is carried over, as tools/images/README.md says.
            CACHE / "images": Path("/root/.cache/service-launcher/images"),
        }
        if (shared := checkout.parent / "shared").exists():
            seen[shared.resolve()] = shared
        for outside, inside in seen.items():
            place = root / inside.relative_to("/")
            if outside.is_dir():
                place.mkdir(parents=True)
            else:
                place.touch()
        environment = {
            "HOME": "/root",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "KESTRA_DOCKER_SOCKET": str(engine.socket),  # as the Engine sees it
            "no_proxy": "127.0.0.1,localhost",
        }
        if CERTIFICATES.exists():  # a site may have an authority of its own
            shutil.copy(CERTIFICATES, root / "etc/site-certificates.crt")
            environment |= dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT"), "/etc/site-certificates.crt")
        kept = ("PIP_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT", "UV_INDEX_URL", "UV_DEFAULT_INDEX")
        environment |= {name: os.environ[name] for name in kept if name in os.environ}
        with package_proxy() as port:
            environment |= dict.fromkeys(("http_proxy", "https_proxy"), f"http://127.0.0.1:{port}")
            try:
                yield cls(root, seen, environment)
            finally:
                shutil.rmtree(root)

    def run(self, command: str, folder: Path, seconds: float = 900) -> Done:
        """A command line, as an operator types it in a folder."""
        mounts = [str(path) for pair in self.seen.items() for path in pair]
        enter = ["unshare", "--mount", "bash", "-c", ENTER, "enter", str(self.root), *mounts, "--"]
        return Done.of([*enter, f"cd '{folder}' && {command}"], self.environment, None, seconds)


@contextlib.contextmanager
def package_proxy() -> Iterator[int]:
    """A proxy for HTTP and HTTPS on loopback here that fetches through the machine's own network; yields its port."""
    ended, loops = asyncio.Event(), SimpleQueue[asyncio.AbstractEventLoop]()

    async def serve(listening: socket.socket) -> None:
        loops.put(asyncio.get_running_loop())
        async with await asyncio.start_server(_pass_on, sock=listening):
            await ended.wait()

    def work(listening: socket.socket) -> None:
        with open(os.environ["LAUNCHER_MACHINE_NETWORK"], "rb") as machine:
            network.enter(machine.fileno())  # of this thread and those that it starts
        asyncio.run(serve(listening))

    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=work, args=(listening,), daemon=True, name="package proxy")
    thread.start()
    loop = loops.get(timeout=10)
    yield listening.getsockname()[1]
    loop.call_soon_threadsafe(ended.set)
    thread.join(10)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One client's connection, which stays with the server of its first request."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.decode("latin-1").split("\r\n")[0].split(" ")
        address = urlsplit(target if "://" in target else f"//{target}")
        there, back = await asyncio.open_connection(address.hostname, address.port or 80)
        with contextlib.closing(back):
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                back.write(head)
            await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while piece := await source.read(65536):
        target.write(piece)
        await target.drain()
    target.close()  # so that the other direction ends, too
