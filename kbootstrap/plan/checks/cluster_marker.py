"""The host belongs to no other cluster: neither by our ledger nor by the CA certificate that lies there."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.catalog import paths
from kbootstrap.plan.checks.finding import Context, Finding
from kbootstrap.plan.ledger import Ledger, stranger


def check(context: Context) -> Iterator[Finding]:
    if error := context.pki_error:  # not a word on hosts' CAs: nobody knows whose they are
        what = f"the PKI cannot be read: {error.message.rstrip('.')}"
        yield Finding(check="cluster-marker", host="cluster", what=what, hint=error.hint, warning=True)
    for name, error in context.damaged.items():
        yield Finding(check="cluster-marker", host=name, what=error.message, hint=error.hint, evidence=paths.LEDGER)
    for name, seen in context.observed.items():
        ledger = context.ledgers.get(name, Ledger())
        if other := stranger(ledger, context.cluster_id):
            evidence = f"{paths.LEDGER}: cluster_id {ledger.cluster_id}"
            yield Finding(check="cluster-marker", host=name, what=other.what, hint=other.hint, evidence=evidence)
        elif not ledger.empty and ledger.cluster != context.spec.name:
            what = f"was installed as the cluster «{ledger.cluster}», and cluster.yml says «{context.spec.name}»"
            hint = f"Write cluster: {ledger.cluster} again: etcd and every kubeconfig carry the name, a running cluster keeps it."
            yield Finding(check="cluster-marker", host=name, what=what, hint=hint, evidence=f"{paths.LEDGER}: cluster {ledger.cluster}")
        elif context.pki_error is None and seen.facts.ca_sha256 and seen.facts.ca_sha256 not in context.ca_sha256:
            ours = context.ca_sha256[0][:16] if context.ca_sha256 else "is not made yet"
            what = f"{paths.CA} is another CA's (sha256 {seen.facts.ca_sha256[:16]}, ours {ours})"
            clean = "A host is never the source of a CA. Restore inventory/…/pki; if the other cluster is given up: invoke cluster.down --foreign."
            mend = f"Run there: rm {paths.CA}; then invoke cluster.up brings ours. If every host says so, restore inventory/…/pki instead."
            hint = clean if ledger.empty or not context.ca_sha256 else mend
            yield Finding(check="cluster-marker", host=name, what=what, hint=hint, evidence=f"sha256sum {paths.CA}: {seen.facts.ca_sha256}")
