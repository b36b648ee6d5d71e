"""A registry that serves one image of a private Engine on loopback, so slowly that its bytes can be watched."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.engines import PrivateEngine

CHUNK = 256 * 1024
KINDS = {
    "manifest": "application/vnd.docker.distribution.manifest.v2+json",
    "config": "application/vnd.docker.container.image.v1+json",
    "layer": "application/vnd.docker.image.rootfs.diff.tar",
}


@dataclass
class Registry:
    """The name under which the image can be pulled."""

    image: str

    @classmethod
    @contextlib.contextmanager
    def serving(
        cls, engine: PrivateEngine, image: str, folder: Path, bytes_per_second: int, fault: str = ""
    ) -> Iterator[Registry]:
        """Serve a local image until the block ends; `fault` spoils its layers: flipped, cut or stalled half-way."""
        manifest, blobs = _unpacked(engine, image, folder)
        ended = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self._answer(body=False)

            def do_GET(self) -> None:
                self._answer(body=True)

            def _answer(self, body: bool) -> None:
                kind, size, source = "application/json", 2, None
                if "/manifests/" in self.path:
                    kind, size = KINDS["manifest"], len(manifest)
                elif "/blobs/" in self.path:
                    source = blobs[self.path.rsplit("/", 1)[1]]
                    kind, size = "application/octet-stream", source.stat().st_size
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(size))
                self.send_header("Docker-Content-Digest", f"sha256:{hashlib.sha256(manifest).hexdigest()}")
                self.end_headers()
                if body and source is None:
                    self.wfile.write(manifest if kind == KINDS["manifest"] else b"{}")
                elif body and source is not None:
                    with source.open("rb") as file:
                        while chunk := file.read(CHUNK):
                            half_way = fault and file.tell() > size / 2 and size > CHUNK
                            if half_way and fault == "flipped":
                                chunk = bytes([chunk[0] ^ 1]) + chunk[1:]
                            elif half_way:
                                if fault == "stalled":
                                    ended.wait()
                                self.close_connection = True
                                return
                            self.wfile.write(chunk)
                            time.sleep(len(chunk) / bytes_per_second)  # the speed of the line

            def log_message(self, format: str, *args: object) -> None:
                """Silent: the tests look at the launcher."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield cls(f"127.0.0.1:{server.server_port}/tests/stand-in:1")
        finally:
            ended.set()
            server.shutdown()
            server.server_close()


def _unpacked(engine: PrivateEngine, image: str, folder: Path) -> tuple[bytes, dict[str, Path]]:
    archive = folder / "image.tar"
    engine.docker("save", "--output", str(archive), image)
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "image", filter="data")
    described = json.loads((folder / "image/manifest.json").read_text())[0]
    files = {"config": [described["Config"]], "layer": described["Layers"]}
    blobs, entries = {}, {"config": [], "layer": []}  # type: dict[str, Path], dict[str, list[dict[str, object]]]
    for kind, names in files.items():
        for name in names:
            path = folder / "image" / name
            digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
            blobs[digest] = path
            entries[kind].append({"mediaType": KINDS[kind], "size": path.stat().st_size, "digest": digest})
    manifest = {
        "schemaVersion": 2,
        "mediaType": KINDS["manifest"],
        "config": entries["config"][0],
        "layers": entries["layer"],
    }
    return json.dumps(manifest).encode(), blobs
