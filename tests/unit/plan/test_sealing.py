"""Which key seals which secret, as a member's answer tells it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from kbootstrap.plan import sealing
from kbootstrap.plan.checks.gates import etcdctl
from kbootstrap.testing.builders import a_cluster

M1 = a_cluster(1, 0).host("m1")
VALUES = {
    "/registry/secrets/default/a": r"k8s:enc:secretbox:v1:key1:\xe0\"\n\x00",
    "/registry/secrets/default/a.b": r"k8s:enc:secretbox:v1:key-0123456789abcdef:k8s:enc:secretbox:v1:key1:",
    "/registry/secrets/kube-system/plain": r"k8s\x00\n\f\n\x02v1\x12\x06Secret",
    "/registry/secrets/kube-system/strange": r"k8s:enc:aescbc:v1:theirs:\x01",
}
_FAKE = """#!/bin/sh
[ -z "$fails" ] || exit 1
from=; for a in "$@"; do case $a in /registry/secrets/*) from=$a ;; esac; done
n=0; while IFS=' ' read -r key value; do
  [ "$(printf '%s\\n%s\\n' "$key" "$from" | LC_ALL=C sort | head -n 1)" = "$from" ] || continue
  n=$((n + 1)); [ $n -le 2 ] || continue
  printf '"Key" : "%s"\\n"CreateRevision" : 5\\n"Value" : "%s"\\n"Lease" : 0\\n' "$key" "$value"
done <"${0%/*}/values"
"""


def scanned(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real text, with an etcdctl that gives two keys at a time."""
    (folder / "values").write_text("".join(f"{key} {value}\n" for key, value in VALUES.items()))
    (folder / "etcdctl").write_text(_FAKE)
    (folder / "etcdctl").chmod(0o755)
    program = etcdctl(M1).split(" ", 1)[0]
    text = sealing.scan(M1).replace(program, str(folder / "etcdctl"))
    return subprocess.run(["sh", "-c", text], capture_output=True, text=True, env={**os.environ, **environment}, timeout=30, check=False)


def test_every_page_is_read_and_each_value_tells_its_key_and_no_more(tmp_path: Path) -> None:
    done = scanned(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Secret" not in done.stdout
    found = sealing.parse(done.stdout)
    assert found.by == {
        "default/a": "key1",
        "default/a.b": "key-0123456789abcdef",
        "kube-system/plain": sealing.PLAIN,
        "kube-system/strange": "k8s:enc:aescbc:v1:theirs",
    }
    assert found.counts == dict.fromkeys(found.by.values(), 1)
    assert found.others("key1") == ("default/a.b", "kube-system/plain", "kube-system/strange")
    assert found.strange(["key1", "key-0123456789abcdef"]) == (
        "kube-system/plain (plain)",
        "kube-system/strange (k8s:enc:aescbc:v1:theirs)",
    )


def test_a_member_that_does_not_answer_is_no_cluster_without_secrets(tmp_path: Path) -> None:
    assert scanned(tmp_path, fails="1").returncode == 1


def test_a_page_names_secrets_and_holds_none() -> None:
    stale = [f"default/s{number}" for number in range(sealing.PAGE + 1)]
    first, second = map(json.loads, sealing.pages(stale))
    assert (len(first["items"]), len(second["items"])) == (sealing.PAGE, 1)
    assert second["items"][0] == {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "default", "name": f"s{sealing.PAGE}"}}
