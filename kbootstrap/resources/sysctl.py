"""Kind ``sysctl``: the running value; the file that makes it last is a resource of its own."""

from __future__ import annotations

from collections.abc import Sequence

from kbootstrap.model.plan import Action
from kbootstrap.model.resource import Sysctl
from kbootstrap.resources.difference import Difference, Order, lines, sh


def probe(names: Sequence[str]) -> str:
    return "".join(f"[ ! -r {_file(n)} ] || echo {sh(n)}=$(cat {_file(n)})\n" for n in names)


def _file(name: str) -> str:
    return sh("/proc/sys/" + name.replace(".", "/"))


def parse(output: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in output.splitlines())
    return {name: " ".join(value.split()) for name, _, value in pairs}


def diff(want: Sysctl, seen: str | None) -> Difference | None:
    if seen == want.value:
        return None
    found = "absent" if seen is None else seen
    return Difference(action=Action.UPDATE, reason=f"{found}, want {want.value}", before=seen, after=want.value)


def commands(want: Sysctl, difference: Difference) -> Order:
    del difference
    return Order(text=lines(f"printf '%s\\n' {sh(want.value)} > {_file(want.name)}"))
