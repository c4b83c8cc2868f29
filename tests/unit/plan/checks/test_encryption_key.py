"""Fault 66: a key of secrets that is changed without the old one as a reader is refused, before anything changes."""

from __future__ import annotations

import base64
import subprocess
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from kbootstrap.model.facts import Facts, Observed
from kbootstrap.model.sealing import Sealing, SealKey
from kbootstrap.model.survey import Survey
from kbootstrap.plan import survey_sh
from kbootstrap.plan.checks import encryption_key
from kbootstrap.plan.checks.finding import Context
from kbootstrap.plan.survey import parse
from kbootstrap.render.encryption import encryption_config
from kbootstrap.testing.builders import a_cluster

OLD, NEW, OTHER = (SealKey(name=name, secret=name.encode() * 8) for name in ("key1", "key2", "key3"))
SPEC = a_cluster(3, 0)


def findings(ours: Sealing, *there: SealKey) -> list[str]:
    seen = Observed(host="m1", facts=Facts(), survey=Survey(seal_keys=tuple(key.fingerprint for key in there)))
    context = Context(spec=SPEC, observed={"m1": seen}, ledgers={}, cluster_id="c1", ca_sha256=(), sealing=ours)
    return [finding.what for finding in encryption_key.check(context)]


@pytest.mark.parametrize(
    "ours",
    [
        Sealing(writer=OLD),
        Sealing(writer=OLD, upcoming=NEW),
        Sealing(writer=NEW, former=OLD),
        Sealing(writer=NEW, retired=(OLD,)),
        Sealing(),
    ],
    ids=["the same", "a reader more", "another writer", "a host that missed the end", "no PKI"],
)
def test_every_phase_of_a_rotation_may_meet_the_old_key(ours: Sealing) -> None:
    assert findings(ours, OLD) == []


def test_a_key_that_nobody_reads_any_more_is_refused_and_both_are_named() -> None:
    (said,) = findings(Sealing(writer=NEW), OLD)
    assert OLD.fingerprint in said
    assert NEW.fingerprint in said
    assert findings(Sealing(writer=NEW, former=OLD), OLD, OTHER) != []


def test_a_host_tells_the_fingerprints_of_the_file_that_is_rendered(tmp_path: Path) -> None:
    """The shell's half, on a real file; no key is in what it says."""
    config = tmp_path / "encryption.yaml"
    config.write_text(encryption_config([NEW, OLD]))
    part = survey_sh.QUICK[survey_sh.QUICK.index("[ ! -r @encryption@ ]") : survey_sh.QUICK.index("echo resolver=read")]
    done = subprocess.run(["sh", "-ec", part.replace("@encryption@", str(config))], capture_output=True, text=True, check=True)
    assert parse(done.stdout).seal_keys == (NEW.fingerprint, OLD.fingerprint)
    assert sha256(NEW.secret).hexdigest().startswith(NEW.fingerprint)
    assert base64.b64encode(NEW.secret).decode() not in done.stdout
    assert repr(NEW.secret) not in repr(replace(Sealing(), writer=NEW))
