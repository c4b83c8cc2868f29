"""``certs.csr`` and ``certs.install``: certificates that a CA elsewhere signs. ``certs.py`` lists them beside the others."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from kbootstrap.errors import UsageError, counted
from kbootstrap.tasks._common import CLUSTER_HELP, complain, find_folder, reported, say
from kbootstrap.tasks.cluster import _list

_REQUESTS = "requests"


@task(
    auto_shortflags=False,
    help={
        "cluster": CLUSTER_HELP,
        "host": "requests for certificates of these hosts (m1,w2), due or not",
        "name": "requests for certificates of these names (apiserver,bootstrap-admin), due or not",
        "ca": "a request for an intermediate CA of a new cluster: cluster, etcd or front-proxy",
        "to": "the folder for the requests; by default inventory/<cluster>/requests",
    },
)
@reported
def csr(_: Context, cluster: str = "", host: str = "", name: str = "", ca: str = "", to: str = "") -> None:
    """Write requests for certificates whose CA key is not here (or those named); their keys stay in the PKI directory. Asks no host."""
    from kbootstrap.engine import elsewhere
    from kbootstrap.pki import authority
    from kbootstrap.store import files

    folder = find_folder(cluster)
    target = Path(to) if to else folder.root / _REQUESTS
    if to:
        files.refuse_missing(target)
    if ca and (host or name):
        raise UsageError("--ca asks for a CA, --host and --name for what a CA signs", hint="Say one of them.")
    if ca:
        known = authority.named(ca)
        requests = {known: elsewhere.for_ca(folder, known)}
    else:
        requests = dict(elsewhere.for_leaves(folder, hosts=_list(host), chosen=_list(name)))
    for path in elsewhere.write(target, requests):
        say(str(path))
    if requests:
        say(f"{counted(len(requests), 'request')}. Have them signed as they ask, and then: invoke certs.install FOLDER")
    else:
        say("0 requests: nothing is due whose CA key is not here")


@task(
    auto_shortflags=False,
    help={
        "path": "a file with a signed certificate and, if you like, its chain (PEM, DER, PKCS #7), several with commas between, or a folder of them",
        "ca": "the file is a CA of yours for a new cluster: cluster, etcd or front-proxy",
        "key": "the private key of that CA; without it every signature is made elsewhere",
        "cluster": CLUSTER_HELP,
    },
)
@reported
def install(_: Context, path: str, cluster: str = "", ca: str = "", key: str = "") -> None:
    """Take signed certificates: each is matched to its request and judged; all are taken, or none and you read why. Asks no host."""
    from kbootstrap.engine import elsewhere
    from kbootstrap.pki import authority

    folder = find_folder(cluster)
    contents = elsewhere.read(path)
    if key and not ca:
        raise UsageError("--key is the key of a CA", hint="Say --ca, too. The keys of other certificates never leave the PKI directory.")
    if not ca:
        judged = elsewhere.install(folder, contents)
        for source, request in judged.taken.items():
            say(f"{request:<34} {source}")
        known = "No host has them yet: `invoke certs.renew` or `invoke cluster.up` installs them and restarts what uses them."
        say(f"{len(judged.taken)} taken" + (f". {known}" if judged.taken else ": nothing here is new"))
        return
    if len(contents) != 1:
        raise UsageError(f"--ca takes one file, its chain in it, not {len(contents)}")
    name, content = authority.named(ca), next(iter(contents.values()))
    for warning in elsewhere.give(folder, name, content, Path(key).read_bytes() if key else b""):
        complain(f"! {warning}")
    say(f"the cluster will begin with this CA {name}" + ("" if key else "; without its key: invoke certs.csr asks for what it must sign"))
