"""The same values as plain data for ``--json``: never a secret, never a payload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kbootstrap.model.finding import Finding
from kbootstrap.model.plan import Plan
from kbootstrap.model.report import Result


def plan(value: Plan) -> dict[str, Any]:
    """``{"changes": [{"id", "stage", "action", "reason", "before", "after"}]}`` in the order of execution."""
    rows = [
        {"id": c.id, "stage": stage.name, "action": c.action.value, "reason": c.reason, "before": c.before, "after": c.after}
        for stage in value.stages
        for host in stage.hosts
        for c in host.changes
    ]
    return {"changes": rows}


def results(values: Sequence[Result]) -> list[dict[str, Any]]:
    """``[{"check", "where", "ok", "detail", "hint"}]``."""
    return [{"check": v.check, "where": v.where, "ok": v.ok, "detail": v.detail, "hint": v.hint} for v in values]


def findings(values: Sequence[Finding]) -> list[dict[str, Any]]:
    """``[{"check", "host", "severity", "what", "evidence", "why", "fix", "waived"}]``; severity is refused, warning or waived."""
    return [
        {
            "check": v.check,
            "host": v.host,
            "severity": v.severity.value,
            "what": v.what,
            "evidence": v.evidence,
            "why": v.why,
            "fix": v.hint,
            "waived": v.waived,
        }
        for v in values
    ]
