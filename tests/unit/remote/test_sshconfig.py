"""What ``~/.ssh/config`` may add to cluster.yml, and what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from kbootstrap.errors import ConnectError
from kbootstrap.model.host import Bastion, Ssh
from kbootstrap.remote.sshconfig import Way, resolve


def way(tmp_path: Path, text: str, ssh: Ssh) -> Way:
    config = tmp_path / "config"
    config.write_text(text)
    return resolve(ssh, config)


def test_without_a_config(tmp_path: Path) -> None:
    found = resolve(Ssh(user="kb", host="10.0.0.1", key=Path("k")), tmp_path / "none")
    assert found == Way(host="10.0.0.1", port=22, user="kb", dial=("10.0.0.1", 22), keys=(Path("k"),))


def test_an_alias(tmp_path: Path) -> None:
    text = "Host m1\n  HostName 10.9.9.9\n  Port 2222\n  User other\n  IdentityFile /keys/a\n  IdentityFile /keys/b\n"
    found = way(tmp_path, text, Ssh(user="kb", host="m1"))
    assert found == Way(host="m1", port=2222, user="kb", dial=("10.9.9.9", 2222), keys=(Path("/keys/a"), Path("/keys/b")))


def test_cluster_yml_wins(tmp_path: Path) -> None:
    text = "Host *\n  Port 2222\n  User other\n  IdentityFile /keys/a\n  ProxyJump elsewhere\n"
    ssh = Ssh(user="kb", host="m1", port=2200, key=Path("mine"), bastion=Bastion(host="gate", user="jump", port=22022, key=Path("theirs")))
    found = way(tmp_path, text, ssh)
    assert (found.dial, found.user, found.keys) == (("m1", 2200), "kb", (Path("mine"),))
    assert found.via == Way(host="gate", port=22022, user="jump", dial=("gate", 22022), keys=(Path("theirs"),))


def test_a_chain_of_jumps(tmp_path: Path) -> None:
    text = "Host m1\n  ProxyJump ann@first:2201,second\nHost second\n  HostName 10.0.0.2\n  User bob\n"
    second = way(tmp_path, text, Ssh(user="kb", host="m1")).via
    assert second is not None
    assert (second.dial, second.user) == (("10.0.0.2", 22), "bob")
    assert second.via is not None
    assert (second.via.dial, second.via.user, second.via.via) == (("first", 2201), "ann", None)


def test_jumps_in_a_circle(tmp_path: Path) -> None:
    with pytest.raises(ConnectError, match="in circles"):
        way(tmp_path, "Host a b\n  ProxyJump b\n", Ssh(user="kb", host="a"))


def test_no_jump(tmp_path: Path) -> None:
    assert way(tmp_path, "Host m1\n  ProxyJump none\nHost *\n  ProxyJump gate\n", Ssh(user="kb", host="m1")).via is None


@pytest.mark.parametrize("text", ["Host m1\n  HostName\n", "Host m1\n  Port many\n"])
def test_a_config_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConnectError, match="cannot be used"):
        way(tmp_path, text, Ssh(user="kb", host="m1"))
