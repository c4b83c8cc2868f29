"""Other programs on our certificates: ``openssl verify`` for each purpose, an exported PKCS #12, public keys as a host's tools tell them."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from kbootstrap.model.cluster import Certificates, ClusterSpec, KeyType
from kbootstrap.model.pki import Pki, Usage
from kbootstrap.model.resource import File
from kbootstrap.pki import export, issue, keys
from kbootstrap.pki.profiles import profiles
from kbootstrap.plan import certificate_sh
from kbootstrap.rolebook.certificates import Held, Part
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.testing.builders import THE_DAY, SameEntropy, a_cluster, a_pki

PURPOSES = {"sslserver": Usage.SERVER, "sslclient": Usage.CLIENT}


@cache
def made(kind: KeyType) -> tuple[ClusterSpec, Pki]:
    """RSA keys are slow to make: only some of the table then."""
    if kind is KeyType.ECDSA:
        return a_cluster(1, 1), a_pki(1, 1)
    spec = a_cluster(1, 0, certificates=Certificates(key_type=kind))
    wanted = [p for p in profiles(spec) if p.name in {"apiserver", "etcd-peer", "admin"}]
    return spec, issue.complete(Pki(), wanted, now=THE_DAY, certificates=spec.certificates, entropy=SameEntropy())[0]


def openssl(*argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["openssl", *argv], input=stdin, capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("kind", KeyType)
def test_openssl_accepts_each_certificate_for_its_purpose_and_for_no_other(kind: KeyType, tmp_path: Path) -> None:
    spec, pki = made(kind)
    for name, ca in pki.cas.items():
        (tmp_path / name).write_bytes(ca.cert_pem)
    leaf = tmp_path / "leaf.pem"
    for profile in [p for p in profiles(spec) if p.id in pki.pairs]:
        leaf.write_bytes(pki.pair(profile.id).cert_pem)
        for purpose, usage in PURPOSES.items():
            for ca_name in {profile.issuer, "front-proxy-ca"}:
                argv = ("verify", "-no_check_time", "-x509_strict", "-purpose", purpose, "-CAfile", str(tmp_path / ca_name), str(leaf))
                accepted = usage in profile.usages and ca_name == profile.issuer
                done = openssl(*argv)
                assert (done.returncode == 0) is accepted, f"{profile.id} as {purpose} under {ca_name}: {done.stderr.decode()}"


def test_openssl_finds_each_name_and_address_in_it(tmp_path: Path) -> None:
    spec, pki = made(KeyType.ECDSA)
    (tmp_path / "ca").write_bytes(pki.ca("ca").cert_pem)
    (tmp_path / "leaf").write_bytes(pki.pair("m1/apiserver").cert_pem)
    profile = next(p for p in profiles(spec) if p.id == "m1/apiserver")
    asked = [*(("-verify_hostname", name) for name in profile.dns_names), *(("-verify_ip", str(ip)) for ip in profile.ip_addresses)]
    for option, value in asked:
        assert openssl("verify", "-no_check_time", "-CAfile", str(tmp_path / "ca"), option, value, str(tmp_path / "leaf")).returncode == 0
    assert openssl("verify", "-no_check_time", "-CAfile", str(tmp_path / "ca"), "-verify_ip", "10.77.0.99", str(tmp_path / "leaf")).returncode


def test_a_browsers_file_opens_with_its_passphrase_alone_and_holds_key_certificate_and_ca() -> None:
    _, pki = made(KeyType.ECDSA)
    made_file = export.p12("admin", pki.pair("admin"), pki.trust("ca"), b"pass phrase \xc3\xa9")
    assert openssl("pkcs12", "-passin", "pass:wrong", "-nodes", stdin=made_file).returncode
    read = openssl("pkcs12", "-passin", "pass:pass phrase é", "-nodes", stdin=made_file)
    assert read.returncode == 0, read.stderr
    assert read.stdout.count(b"BEGIN CERTIFICATE") == 2
    assert b"friendlyName: admin" in read.stdout
    assert keys.written(openssl("pkey", "-pubout", stdin=read.stdout).stdout) == keys.of_certificate(pki.pair("admin").cert_pem)
    assert b"AES-256" in openssl("pkcs12", "-passin", "pass:pass phrase é", "-info", "-noout", stdin=made_file).stderr


def test_pythons_tls_takes_an_exported_bundle(tmp_path: Path) -> None:
    _, pki = made(KeyType.ECDSA)
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(export.pem(pki.pair("admin"), pki.trust("ca")))
    context = ssl.create_default_context(cafile=str(bundle))
    context.load_cert_chain(bundle)
    assert len(context.get_ca_certs()) == 1


def _tools(folder: Path, *names: str) -> str:
    """A PATH that has only these programs."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found is not None, name
        (folder / name).symlink_to(found)
    return str(folder)


COMMON = ("sh", "sed", "tr", "base64", "cat", "stat", "sha256sum")


@pytest.mark.parametrize("tool", ["openssl", "ssh-keygen", ""])
@pytest.mark.parametrize("kind", KeyType)
def test_a_host_tells_the_public_half_of_its_keys_by_whatever_tool_it_has(kind: KeyType, tool: str, tmp_path: Path) -> None:
    key_pem = SystemEntropy().key(kind)
    files = dict(_files(tmp_path, key_pem))
    path = _tools(tmp_path / "bin", *COMMON, *([tool] if tool else []))
    text = dict(certificate_sh.sections(list(files.values()), []))["keys"]
    done = subprocess.run(["sh", "-c", text], env={"PATH": path}, capture_output=True, text=True, timeout=60, check=True)
    assert "PRIVATE" not in done.stdout + done.stderr
    seen = certificate_sh.parse({"keys": done.stdout})
    assert seen.blind is (not tool)
    if tool:
        wanted = keys.written(openssl("pkey", "-pubout", stdin=key_pem).stdout)
        assert {name: keys.written(seen.keys[each.file.name]) for name, each in files.items() if name != "broken"} == dict.fromkeys(
            ("key", "both", "config"), wanted
        )
        assert seen.keys[files["broken"].file.name] == b""


def _files(folder: Path, key_pem: bytes) -> Iterator[tuple[str, Held]]:
    cert = a_pki().pair("admin").cert_pem
    contents = {
        "key": (Part.KEY, key_pem),
        "both": (Part.BOTH, key_pem + cert),
        "config": (Part.CONFIG, b'users:\n- user:\n    client-key-data: "' + b64encode(key_pem) + b'"\n'),
        "broken": (Part.KEY, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
    }
    for name, (part, content) in contents.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
        yield name, Held(file=File(name=str(folder / name), content=content), name="apiserver", part=part)
