"""known_hosts as OpenSSH writes it."""

from __future__ import annotations

import base64
import hmac
from pathlib import Path

import pytest

from kbootstrap.errors import HostKeyError
from kbootstrap.remote import hostkeys
from kbootstrap.remote.hostkeys import ALGORITHMS, KnownHosts, fingerprint, known_name, parse

KEY = base64.b64encode(b"one key").decode()
OTHER = base64.b64encode(b"other key").decode()


def known(text: str) -> KnownHosts:
    return KnownHosts(path=Path("known_hosts"), records=parse(text))


def names_hashed(name: str) -> str:
    salt = b"0123456789abcdefghij"
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(hmac.digest(salt, name.encode(), 'sha1')).decode()}"


def test_names() -> None:
    assert known_name("M1", 22) == "m1"
    assert known_name("10.0.0.1", 2222) == "[10.0.0.1]:2222"


def test_the_fingerprint_is_opensshs() -> None:
    public = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"  # github.com's, as published
    assert fingerprint(base64.b64decode(public)) == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"


@pytest.mark.parametrize(
    ("names", "name", "matches"),
    [
        ("m1", "m1", True),
        ("m1,10.0.0.1", "10.0.0.1", True),
        ("m1", "m11", False),
        ("10.0.0.*", "10.0.0.7", True),
        ("10.0.0.?", "10.0.0.77", False),
        ("*,!m2", "m2", False),
        ("*,!m2", "m3", True),
        ("[m1]:2222", "[m1]:2222", True),
        ("[m1]:2222", "m1", False),
        ("[m]:2222", "m:2222", False),  # brackets are no character class here
        ("M1", "m1", True),
        (names_hashed("m1"), "m1", True),
        (names_hashed("m1"), "m2", False),
        (names_hashed("[m1]:2222"), "[m1]:2222", True),
        ("|1|broken", "m1", False),
    ],
)
def test_matching(names: str, name: str, matches: bool) -> None:
    assert bool(known(f"{names} ssh-ed25519 {KEY} a comment").of(name)) is matches


def test_what_is_no_record_is_left_out() -> None:
    assert parse(f"# m1 ssh-rsa {KEY}\n\nm1 ssh-rsa\nm1 ssh-rsa not*base64\nm1 1024 35 123\n\t\n") == ()


def test_line_numbers_count_every_line() -> None:
    assert [r.number for r in parse(f"# first\n\nm1 ssh-rsa {KEY}\n@revoked m1 ssh-rsa {KEY}\n")] == [3, 4]


def test_the_recorded_type_is_asked_for_first() -> None:
    assert known(f"m1 ssh-rsa {KEY}").algorithms("m1")[:3] == ("rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519")
    assert known("").algorithms("m1") == ALGORITHMS
    with_authority = known(f"@cert-authority * ssh-ed25519 {KEY}").algorithms("m1")
    assert with_authority[0] == "ssh-ed25519-cert-v01@openssh.com"
    assert with_authority[-len(ALGORITHMS) :] == ALGORITHMS


def test_a_known_key_passes() -> None:
    known(f"[m1]:2222 ssh-ed25519 {KEY}").verify("m1", 2222, "ssh-ed25519", b"one key")
    known(f"m1 ssh-rsa {OTHER}\nm1 ssh-rsa {KEY}").verify("m1", 22, "rsa-sha2-512", b"one key")


def test_an_unknown_key() -> None:
    with pytest.raises(HostKeyError) as caught:
        known(f"m2 ssh-ed25519 {KEY}").verify("m1", 22, "ssh-ed25519", b"one key")
    assert str(caught.value) == f"the host key of m1 is not known: ssh-ed25519 {fingerprint(b'one key')}"
    assert caught.value.hint.startswith("Run `invoke inventory.trust`")


def test_a_changed_key_names_both_and_every_line() -> None:
    with pytest.raises(HostKeyError) as caught:
        known(f"m1 ssh-ed25519 {OTHER}\nm2 ssh-ed25519 {KEY}\nm1 ssh-rsa {OTHER}").verify("m1", 22, "ssh-ed25519", b"one key")
    message = str(caught.value)
    assert f"ssh-ed25519 {fingerprint(b'other key')} (line 1)" in message
    assert f"the host shows: ssh-ed25519 {fingerprint(b'one key')}" in message
    assert "remove line 1, 3 of known_hosts" in caught.value.hint


def test_a_revoked_key_never_passes() -> None:
    with pytest.raises(HostKeyError, match="revoked"):
        known(f"m1 ssh-ed25519 {KEY}\n@revoked * ssh-ed25519 {KEY}").verify("m1", 22, "ssh-ed25519", b"one key")


def test_garbage_instead_of_a_certificate() -> None:
    with pytest.raises(HostKeyError, match="cannot be verified"):
        known(f"@cert-authority * ssh-ed25519 {KEY}").verify("m1", 22, "ssh-ed25519-cert-v01@openssh.com", b"garbage")


def test_loading(tmp_path: Path) -> None:
    assert hostkeys.load(tmp_path / "none").records == ()
    (tmp_path / "there").write_text(f"m1 ssh-ed25519 {KEY}\n")
    assert len(hostkeys.load(tmp_path / "there").records) == 1
    with pytest.raises(HostKeyError, match="cannot be read"):
        hostkeys.load(tmp_path)


def test_records_of_a_name_come_in_the_order_of_the_file_however_it_is_written() -> None:
    found = known(f"*.lan ssh-rsa {KEY}\nm1.lan,m1 ssh-ed25519 {OTHER}\n@revoked m1.lan ssh-rsa {KEY}\n{names_hashed('m1.lan')} ecdsa {KEY}\n")
    assert [(r.number, r.kind) for r in found.of("m1.lan")] == [(1, "ssh-rsa"), (2, "ssh-ed25519"), (4, "ecdsa")]
    assert [r.number for r in found.of("m1.lan", "@revoked")] == [3]


def test_a_file_is_parsed_again_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"m1 ssh-ed25519 {KEY}\n")
    first = hostkeys.load(path)
    assert hostkeys.load(path) is first
    path.write_text(f"m1 ssh-ed25519 {OTHER}\nm2 ssh-ed25519 {OTHER}\n")
    assert len(hostkeys.load(path).records) == 2
    path.unlink()
    assert hostkeys.load(path).records == ()
