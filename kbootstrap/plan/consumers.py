"""Who in pods uses the cluster's CA or a service-account token, and may not have read the new one yet: read from the API's own objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kbootstrap.catalog import names
from kbootstrap.model.pki import SERVICE_ACCOUNT

BUNDLE: Final = "kube-root-ca.crt"  # the ConfigMap of each namespace that pods read the CA from
SYSTEM: Final = "kube-system"
RESTARTABLE: Final = ("Deployment", "DaemonSet", "StatefulSet")
STARTING: Final = timedelta(seconds=2)  # the API writes whole seconds
REMOUNTED: Final = timedelta(seconds=120)  # a kubelet brings a changed volume to a pod that runs within 90 s
_NEVER: Final = datetime.min.replace(tzinfo=UTC)

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """A pod that started before what it reads was changed. *owner* is ``Deployment/web`` where a restart of that replaces it, else what made it."""

    namespace: str
    name: str
    owner: str

    @property
    def restartable(self) -> bool:
        return self.owner.partition("/")[0] in RESTARTABLE


def lacking(bundles: Iterable[Object], ca_pem: bytes) -> tuple[str, ...]:
    """The namespaces whose bundle is not *ca_pem* yet."""
    wanted = ca_pem.decode().strip()
    return tuple(each["metadata"]["namespace"] for each in bundles if str(each.get("data", {}).get("ca.crt", "")).strip() != wanted)


def changed(bundles: Iterable[Object]) -> dict[str, datetime]:
    """Namespace → when its bundle got its present content."""
    return {each["metadata"]["namespace"]: _last_write(each["metadata"]) for each in bundles}


def _last_write(metadata: Object) -> datetime:
    times = [field["time"] for field in metadata.get("managedFields", ()) if "time" in field]
    return max(map(_time, [*times, metadata["creationTimestamp"]]))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def old(pods: Iterable[Object], sets: Iterable[Object], name: str, since: Mapping[str, datetime], default: datetime = _NEVER) -> tuple[Old, ...]:
    """The *pods* that mount what the rotation of *name* changes, and run since before it did: in their namespace at *since*, else at *default*.

    *sets* are the ReplicaSets, which tell the Deployment behind a pod.
    """
    makers = {(each["metadata"]["namespace"], each["metadata"]["name"]): _owner(each) for each in sets}
    found = []
    for pod in pods:
        meta = pod["metadata"]
        if _mounts(pod, name) and _runs(pod) and not _new(pod, since.get(meta["namespace"], default)):
            owner = _owner(pod)
            kind, _, maker = owner.partition("/")
            owner = makers.get((meta["namespace"], maker), "") or owner if kind == "ReplicaSet" else owner
            found.append(Old(namespace=meta["namespace"], name=meta["name"], owner=owner))
    return tuple(found)


def _owner(item: Object) -> str:
    for each in item["metadata"].get("ownerReferences", ()):
        if each.get("controller"):
            return f"{each['kind']}/{each['name']}"
    return ""


def _mounts(pod: Object, name: str) -> bool:
    return any(_is(source, name) for volume in pod["spec"].get("volumes", ()) for source in _sources(volume))


def _sources(volume: Object) -> Iterator[Object]:
    yield volume
    yield from volume.get("projected", {}).get("sources", ())


def _is(source: Object, name: str) -> bool:
    if name == SERVICE_ACCOUNT:
        return "serviceAccountToken" in source
    return name == names.CLUSTER_CA and source.get("configMap", {}).get("name") == BUNDLE


def _runs(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Pending", "Running") and "deletionTimestamp" not in pod["metadata"]


def _new(pod: Object, since: datetime) -> bool:
    """Made later, or all of its containers started so much later that the volume had followed."""
    status = pod["status"]
    if "startTime" in status and _time(status["startTime"]) > since + STARTING:
        return True
    running = [each.get("state", {}).get("running", {}).get("startedAt") for each in status.get("containerStatuses", ())]
    return bool(running) and all(at and _time(at) > since + REMOUNTED for at in running)


def told(pods: Sequence[Old]) -> Iterator[str]:
    """A line for each owner, with the number of its pods; one for each pod that has none."""
    counted: dict[tuple[str, str], list[str]] = {}
    for pod in pods:
        counted.setdefault((pod.namespace, pod.owner), []).append(pod.name)
    for (namespace, owner), mine in counted.items():
        if owner:
            yield f"{namespace}/{mine[0]}{f' and {len(mine) - 1} more' if len(mine) > 1 else ''} of {owner}"
        else:
            yield from (f"{namespace}/{name}, which nobody would make again" for name in mine)


def owners(pods: Sequence[Old]) -> tuple[tuple[str, str], ...]:
    """(namespace, ``Deployment/web``) of those that a restart of their owner replaces, each once."""
    return tuple(dict.fromkeys((pod.namespace, pod.owner) for pod in pods if pod.restartable))
