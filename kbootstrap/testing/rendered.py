"""Rendered templates for tests, and what a unit's line means to the program that systemd starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.host import Host
from kbootstrap.render.context import Inputs, view
from kbootstrap.render.env import Renderer


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The templates under *root* as *host* of *spec* gets them, with 10.244.<n>.0/24 for the nth host's pods."""

    root: Path
    spec: ClusterSpec
    host: Host

    def text(self, template: str, inputs: Inputs | None = None, **more: Mapping[str, Any]) -> str:
        """*template* rendered; ``more`` replaces entries of what it sees (``paths={"RUN": …}``)."""
        ranges = {host.name: IPv4Network(f"10.244.{n}.0/24") for n, host in enumerate(self.spec.hosts)}
        images = {"pause": "registry.example/pause:1", "coredns": "registry.example/coredns:1"}
        seen = view(self.spec, self.host, pod_ranges=ranges, images=images, inputs=inputs)
        return Renderer([self.root]).render(template, {**seen, **{name: {**seen[name], **parts} for name, parts in more.items()}})


def program(unit: str, key: str, containing: str) -> str:
    """The text of ``key=…/bin/sh -c '…'`` in *unit*, the line that has *containing* in it, as systemd hands it to sh."""
    lines = unit.replace("\\\n", " ").splitlines()
    (line,) = [line for line in lines if line.startswith(f"{key}=") and containing in line]
    quoted = line.partition("/bin/sh -c '")[2].removesuffix("'")
    return quoted.replace("%%", "%").replace("$$", "$").replace("\\\\", "\\")


def arguments(unit: str) -> dict[str, str]:
    """Flag → value of the one ``ExecStart=`` of *unit*."""
    lines = unit.replace("\\\n", " ").splitlines()
    (line,) = [line for line in lines if line.startswith("ExecStart=")]
    pairs = (word.strip('"').removeprefix("--").partition("=") for word in line.split()[1:])
    return {flag: value for flag, _, value in pairs}
