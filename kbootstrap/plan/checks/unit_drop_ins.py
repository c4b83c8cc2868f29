"""No drop-ins beside units of our names: kubeadm's kubelet.service.d would give our kubelet its flags, a proxy for containerd is somebody's wish."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        if found := seen.survey.drop_ins:
            what = f"systemd would lay {', '.join(found)} over our unit{'s' if len(found) > 1 else ''} of that name"
            hint = f"Unless it is meant, run there: rm {' '.join(found)} && systemctl daemon-reload."
            yield Finding(check="unit-drop-ins", host=seen.name, what=what, hint=hint, warning=True, evidence=", ".join(found))
