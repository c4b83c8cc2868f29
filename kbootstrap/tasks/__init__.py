"""Every command, a module per namespace, a function per command. Thin: options in, a call of the engine, text and an exit code out.

May import anything; only ``lab.py`` and ``demo.py`` import the lab. To add a command: one function here, decorated with ``@task`` and
``@reported`` (which adds ``--timings``), with help for every option. What is heavy is imported inside the function, so that ``--list`` stays quick.
"""

from __future__ import annotations

from invoke.collection import Collection

from kbootstrap.tasks import _timings, artifacts, certs, cluster, demo, firewall, inventory, kubeconfig, lab, ports, preflight, report

MODULES = (artifacts, certs, cluster, demo, firewall, inventory, kubeconfig, lab, ports, preflight, report)


def collection() -> Collection:
    """All namespaces; a task is called as its function is, with underscores."""
    found = Collection(auto_dash_names=False)
    for module in MODULES:
        found.add_collection(Collection.from_module(module, auto_dash_names=False), module.__name__.rpartition(".")[2])
    for name in found.task_names:
        found[name].help[_timings.OPTION] = _timings.HELP
        found[name].optional = (*found[name].optional, _timings.OPTION)
    return found
