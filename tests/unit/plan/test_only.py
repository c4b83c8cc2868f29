"""``--only``: what is asked for and what cannot be separated from it; and services whose text systemd has not read."""

from __future__ import annotations

import pytest

from kbootstrap.catalog import paths
from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.facts import Facts, Observed
from kbootstrap.model.resource import File, Service
from kbootstrap.plan import build
from kbootstrap.plan.compare import RELOAD
from kbootstrap.plan.ledger import Ledger
from kbootstrap.plan.stages import STAGES
from kbootstrap.resources import service, stat

UNIT = File(name=paths.unit("x.service"), content=b"new\n")
OTHER = File(name="/etc/other", content=b"new\n")
SERVICE = Service(name="x.service", inputs={UNIT.name: UNIT.sha256})


def a_stat(file: File, sha256: str) -> stat.Stat:
    return stat.Stat(type="regular file", mode=file.mode, owner=file.owner, sha256=sha256)


def keys(unit: str, started: str, need_reload: str, *only: str) -> list[str]:
    state = {"ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": need_reload}
    seen = service.Seen(state=state, started={UNIT.name: started}, now={})
    files = {UNIT.name: a_stat(UNIT, unit), OTHER.name: a_stat(OTHER, "0" * 64)}
    stages = {stage.name: Wanted() for stage in STAGES} | {STAGES[0].name: Wanted(resources=(UNIT, OTHER, SERVICE))}
    observed = {"m1": Observed(host="m1", facts=Facts(), kinds={"file": files, "service": {SERVICE.name: seen}})}
    plan = build.plan(Desired(hosts={"m1": stages}), observed, {"m1": Ledger()}, None, only=only)
    return [change.key for change in plan.changes()]


@pytest.mark.parametrize(
    ("only", "wanted"),
    [
        ((), [UNIT.name, OTHER.name, RELOAD, SERVICE.key]),
        ((OTHER.name,), [OTHER.name]),
        ((f"m1:{UNIT.name}",), [UNIT.name, RELOAD]),
        ((SERVICE.key,), [RELOAD, SERVICE.key]),
        (("m2:/etc/other",), []),
    ],
)
def test_only_keeps_the_reload_with_units(only: tuple[str, ...], wanted: list[str]) -> None:
    assert keys("0" * 64, "1" * 64, "no", *only) == wanted


def test_a_process_older_than_its_unit_restarts_whatever_its_record_says() -> None:
    """Restarted by hand without daemon-reload: the record has the new text, the process the old."""
    assert keys(UNIT.sha256, UNIT.sha256, "yes") == [OTHER.name, RELOAD, SERVICE.key]
    assert keys(UNIT.sha256, UNIT.sha256, "no") == [OTHER.name]


def test_a_unit_that_is_put_back_to_what_it_was_started_with_does_not_restart() -> None:
    assert keys("0" * 64, UNIT.sha256, "yes") == [UNIT.name, OTHER.name, RELOAD]
