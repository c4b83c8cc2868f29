"""Nothing is mounted read-only where we write, or noexec where we execute."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.catalog import hosts, paths
from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        wrong: dict[tuple[str, str], list[str]] = {}
        for room in seen.survey.rooms:
            if room.path == paths.ETCD_DATA and not seen.host.is_master:
                continue
            option = "ro" if "ro" in room.options else "noexec" if "noexec" in room.options and room.path in hosts.EXECUTED else ""
            if option:
                wrong.setdefault((room.mount, option), []).append(room.path)
        for (mount, option), places in wrong.items():
            meant = "read-only" if option == "ro" else "noexec"
            what = f"{mount} is mounted {meant}, and {', '.join(places)} {'lie' if len(places) > 1 else 'lies'} there"
            mended = "rw" if option == "ro" else "exec"
            hint = f"Run there: mount -o remount,{mended} {mount}, and correct /etc/fstab."
            yield Finding(check="mount-options", host=seen.name, what=what, hint=hint, evidence=f"/proc/self/mounts: {mount} {option}")
