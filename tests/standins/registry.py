"""A registry of one image on the loopback interface, as an engine pulls from it: the OCI distribution API, for reading.

Engines take a registry on loopback without TLS.
"""

import hashlib
import json
import re
import tarfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
CHUNK = 1 << 20


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


@dataclass
class Registry:
    repository: str
    tag: str
    folder: Path
    port: int = 0
    manifest: bytes = b""
    blobs: dict[str, Path] = field(default_factory=dict[str, Path])
    hold: threading.Event = field(default_factory=threading.Event)
    """Blobs are given only when it is set."""
    refuses: bool = False
    asked: list[str] = field(default_factory=list[str])

    @property
    def image(self) -> str:
        return f"127.0.0.1:{self.port}/{self.repository}:{self.tag}"

    def take(self, saved: Path, labels: dict[str, str]) -> None:
        """The image of an archive that `docker save` made, with labels of its own, so that no engine has it yet."""
        with tarfile.open(saved) as archive:
            archive.extractall(self.folder, filter="data")
        (listed,) = json.loads((self.folder / "manifest.json").read_text())
        config = json.loads((self.folder / listed["Config"]).read_text())
        config["config"]["Labels"] = {**(config["config"].get("Labels") or {}), **labels}
        (self.folder / listed["Config"]).write_text(json.dumps(config))
        described = [self._blob(listed["Config"], CONFIG), *(self._blob(layer, LAYER) for layer in listed["Layers"])]
        self.manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}).encode()

    def _blob(self, name: str, media_type: str) -> dict[str, Any]:
        path = self.folder / name
        digest = digest_of(path)
        self.blobs[digest] = path
        return {"mediaType": media_type, "digest": digest, "size": path.stat().st_size}


class _Handler(BaseHTTPRequestHandler):
    registry: Registry
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        registry = self.registry
        registry.asked.append(self.path)
        manifest = f"sha256:{hashlib.sha256(registry.manifest).hexdigest()}"
        here = f"/v2/{re.escape(registry.repository)}"
        if self.path == "/v2/":
            self._give(200, b"{}", "application/json")
        elif registry.refuses:
            self._refuse(403, "DENIED", "requested access to the resource is denied")
        elif re.fullmatch(f"{here}/manifests/({re.escape(registry.tag)}|{manifest})", self.path) and MANIFEST in self.headers.get_all("Accept", []):
            self._give(200, registry.manifest, MANIFEST, {"Docker-Content-Digest": manifest})
        elif (blob := re.fullmatch(f"{here}/blobs/(sha256:[0-9a-f]{{64}})", self.path)) and blob[1] in registry.blobs:
            registry.hold.wait()
            self._stream(registry.blobs[blob[1]])
        else:
            self._refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._give(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), "application/json")

    def _give(self, status: int, body: bytes, media_type: str, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": media_type, "Content-Length": str(len(body)), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _stream(self, path: Path) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(path.stat().st_size))
        self.end_headers()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                self.wfile.write(chunk)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: `asked` has it."""


@contextmanager
def registry(repository: str, tag: str, folder: Path) -> Generator[Registry]:
    found = Registry(repository, tag, folder)
    found.hold.set()
    handler = type("Handler", (_Handler,), {"registry": found})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        found.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            found.hold.set()
            server.shutdown()
            thread.join()
