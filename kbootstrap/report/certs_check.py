"""``certs.check`` as a value and as one table: a line for what is wrong, with the command that mends it; all that is fine is a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kbootstrap.errors import ConnectError, counted
from kbootstrap.model.certificate import AUTHORITIES, HARMLESS, State, rotation

EXPIRING_CODE: Final = 10
WRONG_CODE: Final = 11
PKI: Final = "pki"
CLUSTER: Final = "-"  # whose certificate it is that belongs to no host
_PLAIN: Final = {
    State.OK: "",
    State.UNREACHABLE: "invoke cluster.status",
    State.NOT_SERVED: "On {hosts}: journalctl -u {unit} -n 50",
    State.FORMER_CA: "invoke certs.rotate goes on where it stopped.",
}
_OF_AUTHORITIES: Final = {
    State.EXPIRING: "{rotation}",
    State.EXPIRED: "{rotation}",
    State.FOREIGN_CA: "If this PKI is the cluster's: remove that file on {hosts} and invoke certs.renew. Else bring the right one back, "
    "invoke certs.restore.",
}
_MARKS: Final = {State.OK: "ok", State.EXPIRING: " !"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A certificate at one of its places.

    *where*: ``pki`` (the operator's), a path, ``address:port`` or a unit, as seen on *host* ("" where it belongs to none). *owner*: the host
    whose certificate it is (several, apart by commas, where it may be any's; CLUSTER), if that is another. *unit*: whose log tells more.
    """

    host: str
    certificate: str
    where: str
    state: State
    detail: str = ""
    days_left: float | None = None
    owner: str = ""
    unit: str = ""

    @property
    def hint(self) -> str:
        """The command that mends it; "" where nothing is to be mended."""
        return repair(self.state, self.certificate, [self.owner or self.host], self.unit)


def repair(state: State, certificate: str, hosts: Sequence[str], unit: str = "") -> str:
    """What mends *state* of *certificate* on *hosts*. ``certs.renew`` signs what is wrong in itself and installs what the PKI has, all in one; what
    expires later than it would renew by itself must be named."""
    named = ",".join(name for name in hosts if name and name != CLUSTER)
    told = _OF_AUTHORITIES.get(state, "") if certificate in AUTHORITIES.values() else ""
    if state is State.MISSING and not certificate:
        return f"invoke cluster.up --limit {named}"
    if told:
        return told.format(rotation=rotation(certificate), hosts=named)
    if state is State.EXPIRING:
        return f"invoke certs.renew{f' --host {named}' if named else ''} --name {certificate}"
    return _PLAIN.get(state, "invoke certs.renew").format(hosts=named, unit=unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One look at every certificate of a cluster."""

    cluster: str
    rows: tuple[Row, ...]

    @property
    def wrong(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.state not in HARMLESS)

    @property
    def exit_code(self) -> int:
        """For cron: 0 fine, 10 something expires soon, 11 something is wrong, 3 nothing is wrong but a host could not be asked."""
        states = {row.state for row in self.rows}
        if self.wrong:
            return WRONG_CODE
        if State.UNREACHABLE in states:
            return ConnectError.exit_code
        return EXPIRING_CODE if State.EXPIRING in states else 0

    def data(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        rows = [
            {
                "host": row.host,
                "certificate": row.certificate,
                "where": row.where,
                "state": row.state.value,
                "detail": row.detail,
                "days_left": None if row.days_left is None else round(row.days_left, 2),
                "hint": row.hint,
            }
            for row in self.rows
        ]
        return {"cluster": self.cluster, "states": self._counts(), "rows": rows}

    def _counts(self) -> dict[str, int]:
        found = Counter(row.state.value for row in self.rows)
        return {state.value: found[state.value] for state in State if found[state.value]}

    def lines(self, *, every: bool = False) -> Iterator[tuple[State, str]]:
        """Each line with the worst state that it tells of; *every*: what is fine, too, place by place."""
        groups = _alone(self.rows) if every else _folded(self.rows)
        yield from _table(groups)
        yield self._worst(), self._summary()

    def _worst(self) -> State:
        if self.wrong:
            return self.wrong[0].state
        return next((row.state for row in self.rows if row.state is not State.OK), State.OK)

    def _summary(self) -> str:
        certificates = len({(row.owner or row.host or CLUSTER, row.certificate) for row in self.rows if row.certificate})
        hosts = len({row.host for row in self.rows if row.host})
        told = ", ".join(f"{count} {state}" for state, count in self._counts().items())
        return f"{self.cluster}: {certificates} certificates and keys of {counted(hosts, 'host')} at {len(self.rows)} places: {told}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Rows that say the same of several hosts or places."""

    rows: tuple[Row, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        first = self.rows[0]
        hosts = ",".join(dict.fromkeys(row.host or "-" for row in self.rows))
        return _MARKS.get(first.state, "!!"), hosts, first.certificate or "-", first.state.value, self._places, self._detail

    @property
    def _places(self) -> str:
        several = len({row.host for row in self.rows}) > 1
        shown = (row.where.rpartition(":")[1] + row.where.rpartition(":")[2] if several else row.where for row in self.rows)
        return " ".join(dict.fromkeys(shown))

    @property
    def _detail(self) -> str:
        first = self.rows[0]
        left = [f"{first.days_left:.0f} d left"] if first.days_left is not None and first.state is State.OK else []
        owners = [owner for owner in dict.fromkeys(name for row in self.rows for name in (row.owner or row.host).split(",")) if owner]
        hint = repair(first.state, first.certificate, owners, first.unit)
        return "  ".join([*left, *([first.detail] if first.detail else []), *([f"→ {hint}"] if hint else [])])


def _alone(rows: Sequence[Row]) -> list[_Group]:
    return [_Group(rows=(row,)) for row in rows]


def _folded(rows: Sequence[Row]) -> list[_Group]:
    """What is not fine: the same certificate in the same state for the same reason is one line, the worst first."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row.state is not State.OK:
            groups.setdefault((row.certificate, row.state, row.detail, row.unit if row.state is State.NOT_SERVED else ""), []).append(row)
    order: Mapping[State, int] = {State.EXPIRING: 1, State.UNREACHABLE: 2}
    return sorted((_Group(rows=tuple(mine)) for mine in groups.values()), key=lambda group: order.get(group.rows[0].state, 0))


def _table(groups: Sequence[_Group]) -> Iterator[tuple[State, str]]:
    columns = [group.columns for group in groups]
    widths = [min(60, max((len(row[n]) for row in columns), default=0)) for n in range(5)]
    for group, row in zip(groups, columns, strict=True):
        yield group.rows[0].state, "  ".join([*(f"{cell:<{widths[n]}}" for n, cell in enumerate(row[:5])), row[5]]).rstrip()
