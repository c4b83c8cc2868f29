"""Resource kinds: one module each, four pure functions in each.

``probe(names)`` → sh text that reads all of one kind in one section · ``parse(output)`` → name → what was observed (absent: not in it) ·
``diff(want, seen)`` → ``Difference`` or None · ``commands(want, difference)`` → ``Order``. May import model, catalog and errors.
To add a kind: a dataclass in ``model/resource.py``, a module here with its line in ``KINDS``, its cases in ``tests/cases/<kind>/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from kbootstrap.resources import binary, directory, file, firewall, image, module, package, service, swap, sysctl, user

KINDS: Mapping[str, ModuleType] = {
    "user": user,
    "package": package,
    "module": module,
    "directory": directory,
    "file": file,
    "firewall": firewall,
    "sysctl": sysctl,
    "swap": swap,
    "binary": binary,
    "image": image,
    "service": service,
}
