"""No two machines share the firmware's UUID. Containers see that of their machine, which is no clone's."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for seen, other, mark in context.twins(lambda seen: [seen.survey.product_uuid] if seen.survey.product_uuid and not seen.survey.container else []):
        what = f"has the same product UUID as {other.name} (a clone?)"
        hint = "Give the virtual machine a UUID of its own in its hypervisor."
        yield Finding(check="product-uuid", host=seen.name, what=what, hint=hint, warning=True, evidence=f"/sys/class/dmi/id/product_uuid: {mark}")
