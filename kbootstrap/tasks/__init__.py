"""Every command, a module per namespace, a function per command. Thin: options in, a call of the engine, text and an exit code out.

May import anything; only ``lab.py`` and ``demo.py`` import the lab. To add a command: one function here, decorated with ``@task`` and
``@reported`` (which adds ``--timings``, ``--forks`` where hosts are contacted, and ``--passphrase-file`` beside ``--cluster``), with help for every
option. What is heavy is imported inside the function, so that ``--list`` stays quick.
"""

from __future__ import annotations

import gc
from typing import Any

from invoke.collection import Collection
from invoke.tasks import Task

from kbootstrap.tasks import (
    _forks,
    _passphrase,
    _timings,
    artifacts,
    bundle,
    certs,
    cluster,
    demo,
    etcd,
    firewall,
    inventory,
    kubeconfig,
    lab,
    node,
    ports,
    preflight,
    report,
    role,
    secrets,
)

MODULES = (artifacts, bundle, certs, cluster, demo, etcd, firewall, inventory, kubeconfig, lab, node, ports, preflight, report, role, secrets)


gc.set_threshold(50_000, 20, 20)  # modules and plans are made to stay: looking through them every 700 objects was a seventh of a command's CPU time


def collection() -> Collection:
    """All namespaces; a task is called as its function is, with underscores."""
    found = Collection(auto_dash_names=False)
    for module in MODULES:
        found.add_collection(Collection.from_module(module, auto_dash_names=False), module.__name__.rpartition(".")[2])
    for name in found.task_names:
        _explain_common(found[name])
    return found


def _explain_common(task: Task[Any]) -> None:
    """Help for the options that ``@reported`` adds."""
    there = task.argspec(task.body).parameters
    task.help |= {option: text for option, text in _passphrase.HELP.items() if option in there and option not in task.help}
    if _forks.OPTION in there:
        task.help[_forks.OPTION] = _forks.HELP
    for option, parameter in there.items():
        text, default = task.help.get(option, ""), parameter.default
        if text and "default" not in text and type(default) in (int, str) and default not in ("", -1):
            task.help[option] = f"{text} (default: {default})"
    task.help[_timings.OPTION] = _timings.HELP
    task.optional = (*task.optional, _timings.OPTION)
