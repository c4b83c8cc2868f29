"""``kubeconfig.check``: whether each context of a kubeconfig really leads to its cluster, asked as a client asks, straight from this machine."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from kbootstrap import kubeconfig
from kbootstrap.errors import ConnectError, KbError, PkiError
from kbootstrap.kubeconfig import Access
from kbootstrap.model.cluster import Certificates
from kbootstrap.pki import inspect
from kbootstrap.remote import api
from kbootstrap.remote.api import UntrustedError
from kbootstrap.report.certs_check import EXPIRING_CODE, WRONG_CODE
from kbootstrap.store import clock

_REFUSED: Final = 401


class Verdict(StrEnum):
    """One word for what a context is."""

    OK = "ok"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    UNREACHABLE = "unreachable"
    SAN_MISSING = "san-missing"
    FOREIGN_CA = "foreign-ca"
    REJECTED = "rejected"
    BROKEN = "broken"


_HINTS: Final[Mapping[Verdict, str]] = {
    Verdict.EXPIRING: "invoke kubeconfig.admin (or kubeconfig.user for somebody else) makes a new one, kubeconfig.merge brings it.",
    Verdict.EXPIRED: "invoke kubeconfig.admin (or kubeconfig.user for somebody else) makes a new one, kubeconfig.merge brings it.",
    Verdict.UNREACHABLE: "invoke cluster.status",
    Verdict.SAN_MISSING: "Add the name below certificates.extra_sans in cluster.yml, then invoke certs.renew; or write the kubeconfig anew.",
    Verdict.FOREIGN_CA: "Write the kubeconfig anew (invoke kubeconfig.admin, kubeconfig.merge); if it stays so, invoke certs.check.",
    Verdict.REJECTED: "Write the kubeconfig anew: it was signed by a CA, or is of an account, that the cluster does not know any more.",
    Verdict.BROKEN: "Write it anew: invoke kubeconfig.admin, kubeconfig.merge.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One context: what it is, why, and how long its credential lasts."""

    context: str
    server: str
    verdict: Verdict
    detail: str
    days_left: float | None = None

    @property
    def hint(self) -> str:
        return _HINTS.get(self.verdict, "")

    def data(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        days = None if self.days_left is None else round(self.days_left, 1)
        return {
            "context": self.context,
            "server": self.server,
            "state": str(self.verdict),
            "detail": self.detail,
            "days_left": days,
            "hint": self.hint,
        }


def check(text: str, owners: Collection[str], certificates: Certificates, *, days: int | None = None) -> tuple[Row, ...]:
    """A row for each context in *text* that one of *owners* marked, all asked at once. UsageError when *text* is no kubeconfig."""
    names = kubeconfig.contexts(text, owners)
    with ThreadPoolExecutor(max_workers=16) as workers:
        return tuple(workers.map(lambda name: _row(text, name, certificates, days), names))


def exit_code(rows: Sequence[Row]) -> int:
    """For cron, as ``certs.check``: 0 fine, 10 something expires soon, 11 something is wrong, 3 nothing is wrong but a server does not answer."""
    verdicts = {row.verdict for row in rows}
    if verdicts - {Verdict.OK, Verdict.EXPIRING, Verdict.UNREACHABLE}:
        return WRONG_CODE
    if Verdict.UNREACHABLE in verdicts:
        return ConnectError.exit_code
    return EXPIRING_CODE if Verdict.EXPIRING in verdicts else 0


def _row(text: str, name: str, certificates: Certificates, days: int | None) -> Row:
    try:
        access = kubeconfig.read(text, name)
    except KbError as error:
        return Row(context=name, server="", verdict=Verdict.BROKEN, detail=error.message)
    left, soon, verdict, detail = None, False, Verdict.BROKEN, ""
    try:
        left, soon = _life(access, certificates, days)
        verdict, detail = _asked(access) if left > 0 else (Verdict.EXPIRED, f"it expired {-left:.1f} days ago")
    except KbError as error:
        verdict, detail = Verdict.BROKEN, error.message
    if verdict is Verdict.OK and soon:
        verdict = Verdict.EXPIRING
    return Row(context=name, server=access.server, verdict=verdict, detail=detail, days_left=left)


def _life(access: Access, certificates: Certificates, days: int | None) -> tuple[float, bool]:
    """Days until the credential ends, and whether that is soon."""
    now = clock.now()
    if not access.token:
        found = inspect.describe(access.pair.cert_pem)
        return found.days_left(now), found.not_after - now < inspect.window(found, certificates, days)
    began, ends = _token_life(access.token)
    window = timedelta(days=days) if days is not None else min(timedelta(days=certificates.renew_within_days), (ends - began) / 3)
    return (ends - now) / timedelta(days=1), ends - now < window


def _token_life(token: str) -> tuple[datetime, datetime]:
    try:
        payload = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return datetime.fromtimestamp(claims["iat"], UTC), datetime.fromtimestamp(claims["exp"], UTC)
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise PkiError("the token is none that Kubernetes gave") from error


def _asked(access: Access) -> tuple[Verdict, str]:
    """First what the port shows, without a credential; then as whom the API knows it."""
    try:
        shown = api.served(access.server)
    except ConnectError as error:
        return Verdict.UNREACHABLE, error.message
    found, host = inspect.describe(shown), urlsplit(access.server).hostname or ""
    if not _named(host, found):
        names = " ".join(sorted({*found.dns_names, *map(str, found.ip_addresses)}))
        return Verdict.SAN_MISSING, f"the server's certificate is not for {host}, but for {names}"
    try:
        answer = api.whoami(access.server, ca_pem=access.ca_pem, pair=access.pair, token=access.token)
    except UntrustedError as error:
        trusted = ", ".join(inspect.describe(block).common_name for block in inspect.blocks(access.ca_pem))
        return Verdict.FOREIGN_CA, f"the server's certificate is by {found.issuer}, the kubeconfig trusts {trusted} ({error.message})"
    except ConnectError as error:
        return Verdict.UNREACHABLE, error.message
    if answer.status == _REFUSED:
        return Verdict.REJECTED, "the API does not accept its credential"
    return Verdict.OK, f"the API knows it as {answer.user}" if answer.user else f"the API accepts it (HTTP {answer.status})"


def _named(host: str, found: inspect.Description) -> bool:
    try:
        return ip_address(host) in found.ip_addresses
    except ValueError:
        wild = f"*.{host.partition('.')[2]}"
        return host.lower() in found.dns_names or wild in found.dns_names
