"""No other installer's cluster, or what is left of one, lies on the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kbootstrap.catalog import hosts
from kbootstrap.plan.checks.finding import Context, Finding

_AWAY: Final = {
    "kubeadm": "kubeadm reset",
    "k3s": "k3s-uninstall.sh",
    "RKE2": "rke2-uninstall.sh",
    "MicroK8s": "snap remove --purge microk8s",
    "k0s": "k0s stop; k0s reset",
    "minikube": "minikube delete",
}


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        for name, listed in hosts.REMAINS.items():
            found = [path for path in listed if path in seen.survey.remains]
            running = [unit for unit in seen.survey.active if hosts.INSTALLER_UNITS.get(unit) == name]
            if found or running:
                what = f"{name} {'runs' if running else 'was installed'} here ({', '.join(running + found)})"
                hint = f"Run there: {_AWAY[name]}; then remove what is left of {', '.join(found) or 'it'}."
                yield Finding(check="other-installer", host=seen.name, what=what, hint=hint, evidence=", ".join(running + found))
