"""The view as plain values: what ``--json`` prints beside the page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from kbootstrap.report.html import issues
from kbootstrap.report.html.view import View


def data(view: View) -> dict[str, Any]:
    """Plain values for ``--json``: everything that the page shows, and the list of what is wrong that it begins with."""
    found = asdict(view)
    found["now"] = view.now.isoformat()
    found["certificates"] = [
        {**asdict(each), "id": each.id, "not_before": each.not_before.isoformat(), "not_after": each.not_after.isoformat(),
         "days_left": round(each.days_left(view.now), 1)}
        for each in view.certificates
    ]  # fmt: skip
    found["matrix"]["rows"] = [
        {"name": row.port.name, "ports": row.ports, "purpose": row.port.purpose, "who": row.who, "hooks": [str(h) for h in row.port.hooks],
         "targets": list(row.targets), "sources": list(row.sources)}
        for row in view.matrix.rows
    ]  # fmt: skip
    if view.findings is not None:
        found["findings"] = [{**asdict(each), "severity": each.severity.value} for each in view.findings]
    verdict = issues.verdict(view)
    found["verdict"] = {"state": verdict.state.value, "text": verdict.text}
    found["issues"] = [asdict(each) for each in issues.issues(view)]
    return found
