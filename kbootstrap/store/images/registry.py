"""Published images, by digest: from the registry itself, or from a mirror (directory or HTTP) that keeps the same ``v2/…`` paths.

Everything is named by the digest of its content, so nothing that a server says needs to be believed: a manifest list, the manifest of the wanted
architecture, the configuration and the layers are each hashed before they are used.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kbootstrap.catalog.releases import RegistryImage
from kbootstrap.errors import ChecksumError, UnavailableError
from kbootstrap.model.events import Listener
from kbootstrap.store.artifacts.download import Reach, download
from kbootstrap.store.images import layout
from kbootstrap.store.late import httpx

_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFESTS = (layout.MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")
_MANIFEST_LIMIT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Where the blobs of one image are read; *base*: "" for its own registry, else a directory or an http(s) address."""

    image: RegistryImage
    base: str
    reach: Reach
    client: httpx.Client
    listener: Listener

    def pull(self, target: Path, *, ref: str, arch: str) -> str:
        """Write the image for linux/*arch* as the tar *target* under the name *ref*; returns the digest of its manifest."""
        manifest = self._manifest(self.image.digest)
        document = json.loads(manifest.content)
        if "manifests" in document:
            manifest = self._manifest(_platform(document, arch, self.image.ref))
            document = json.loads(manifest.content)
        wanted = [document["config"], *document["layers"]]
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".blobs.") as folder:
            blobs = [self._blob(entry["digest"], Path(folder)) for entry in wanted]
            media_type = str(document.get("mediaType", layout.MANIFEST))
            return layout.write(target, manifest, blobs, media_type=media_type, ref=ref, arch=arch)

    def _manifest(self, digest: str) -> layout.Blob:
        place = self._place("manifests", digest)
        content = self._get(place) if place.startswith(("http://", "https://")) else _read(place)
        found = layout.blob_of(content)
        if found.digest != digest:
            raise ChecksumError(f"{place}: wrong digest: expected {digest}, got {found.digest}", hint="Nothing was kept. Distrust that server.")
        return found

    def _blob(self, digest: str, folder: Path) -> layout.Blob:
        place, path = self._place("blobs", digest), folder / digest.replace(":", "-")
        if place.startswith(("http://", "https://")):
            label = f"image {self.image.repository}:{self.image.tag}"
            download(place, path, reach=self.reach, client=self.client, listener=self.listener, label=label)
        elif Path(place).is_file():
            shutil.copyfile(place, path)
        else:
            raise UnavailableError(f"the mirror has no file {place}")
        found = layout.blob_at(path)
        if found.digest != digest:
            raise ChecksumError(f"{place}: wrong digest: expected {digest}, got {found.digest}", hint="Nothing was kept. Distrust that server.")
        return found

    def _place(self, kind: str, digest: str) -> str:
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):  # it becomes a part of paths and addresses
            raise ChecksumError(f"{self.image.ref}: «{digest}» is no sha256 digest")
        host, _, repository = self.image.repository.partition("/")
        scheme = "http" if re.match(r"(localhost|127\.\d+\.\d+\.\d+)(:|$)", host) else "https"
        return f"{self.base.rstrip('/') or f'{scheme}://{host}'}/v2/{repository}/{kind}/{digest}"

    def _get(self, url: str) -> bytes:
        host = urlsplit(url).netloc
        if host in self.reach.unreachable:
            raise UnavailableError(f"{host} does not answer ({self.reach.unreachable[host]})")
        try:
            response = self._ask(url)
            if response.status_code == httpx.codes.UNAUTHORIZED:
                self._log_in(response)
                response = self._ask(url)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            self.reach.unreachable[host] = str(error) or type(error).__name__
            raise UnavailableError(f"{host} does not answer ({self.reach.unreachable[host]})") from None
        except httpx.HTTPError as error:
            raise UnavailableError(f"{url}: {error or type(error).__name__}", hint="Run the same command again.") from None
        if response.status_code != httpx.codes.OK or len(response.content) > _MANIFEST_LIMIT:
            raise UnavailableError(f"{url}: HTTP {response.status_code}, {len(response.content)} bytes")
        return response.content

    def _ask(self, url: str) -> httpx.Response:
        return self.client.get(url, headers={"Accept": ", ".join(_INDEXES + _MANIFESTS)})

    def _log_in(self, refusal: httpx.Response) -> None:
        """Take an anonymous pull token, as the registry's 401 asks; it is sent to that host only (httpx drops it on redirects elsewhere)."""
        fields = dict(re.findall(r'(\w+)="([^"]*)"', refusal.headers.get("WWW-Authenticate", "")))
        realm = fields.pop("realm", "")
        if urlsplit(realm).scheme != refusal.url.scheme:  # never from https to http
            raise UnavailableError(f"{refusal.url.host} wants a login that is not supported")
        answer: dict[str, Any] = self.client.get(realm, params=fields).raise_for_status().json()
        self.client.headers["Authorization"] = f"Bearer {answer.get('token') or answer.get('access_token')}"


def _platform(index: dict[str, Any], arch: str, ref: str) -> str:
    for entry in index["manifests"]:
        platform = entry.get("platform", {})
        if platform.get("os") == "linux" and platform.get("architecture") == arch and platform.get("variant", "v8") == "v8":
            return str(entry["digest"])
    raise UnavailableError(f"{ref} has no image for linux/{arch}")


def _read(place: str) -> bytes:
    if not Path(place).is_file():
        raise UnavailableError(f"the mirror has no file {place}")
    return Path(place).read_bytes()
