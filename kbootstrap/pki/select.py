"""Which of a cluster's certificates a command is about: by host, by name, or all."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kbootstrap.errors import UsageError
from kbootstrap.model.pki import Profile


def chosen(profiles: Sequence[Profile], *, hosts: Collection[str] = (), names: Collection[str] = ()) -> tuple[Profile, ...]:
    """Those of *profiles* that belong to one of *hosts* and carry one of *names* (``apiserver``, or an id: ``m1/apiserver``); empty means any.

    UsageError for a host or name that no profile has: «nothing to do» would look like success.
    """
    known_hosts = dict.fromkeys(p.host for p in profiles if p.host)
    known_names = dict.fromkeys(p.name for p in profiles)
    if unknown := [host for host in hosts if host not in known_hosts]:
        raise UsageError(f"--host: no host is called {', '.join(unknown)}", hint=f"There are {', '.join(known_hosts)}.")
    if unknown := [name for name in names if name not in known_names and name not in {p.id for p in profiles}]:
        raise UsageError(f"--name: no certificate is called {', '.join(unknown)}", hint=f"There are {', '.join(known_names)}.")
    found = tuple(p for p in profiles if (not hosts or p.host in hosts) and (not names or p.name in names or p.id in names))
    if not found:
        raise UsageError(f"no certificate is called {', '.join(names)} on {', '.join(hosts)}", hint="`invoke certs.show` lists them by host.")
    return found
