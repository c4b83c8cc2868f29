"""Inventories from `vagrant ssh-config`."""

from __future__ import annotations

import pytest

from kbootstrap.errors import UsageError
from kbootstrap.inventory import check
from kbootstrap.inventory.vagrant import from_ssh_config, parse_ssh_config

MACHINE = """\
Host {name}
  HostName 127.0.0.1
  User vagrant
  Port {port}
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  PasswordAuthentication no
  IdentityFile {key}
  IdentitiesOnly yes
  LogLevel FATAL
  PubkeyAcceptedKeyTypes +ssh-rsa
  HostKeyAlgorithms +ssh-rsa

"""


def config(*names: str, key: str = "/home/u/.vagrant/machines/{}/virtualbox/private_key") -> str:
    return "".join(MACHINE.format(name=name, port=2200 + index, key=key.format(name)) for index, name in enumerate(names))


def test_three_masters_and_two_workers() -> None:
    spec, findings = check(from_ssh_config(config("m1", "m2", "m3", "w1", "w2"), "vagrant"), "c.yml")
    assert spec is not None, list(map(str, findings))
    assert [str(host.address) for host in spec.masters] == ["192.168.56.11", "192.168.56.12", "192.168.56.13"]
    assert [str(host.address) for host in spec.workers] == ["192.168.56.21", "192.168.56.22"]
    w1 = spec.host("w1").ssh
    assert (w1.user, w1.host, w1.port, w1.sudo.needed, w1.sudo.password) == ("vagrant", "127.0.0.1", 2203, True, False)
    assert str(w1.key) == "/home/u/.vagrant/machines/w1/virtualbox/private_key"


def test_a_key_with_spaces_is_quoted_by_vagrant() -> None:
    spec, _ = check(from_ssh_config(config("m1", key='"/home/a b/{}"'), "vagrant"), "c.yml")
    assert spec is not None
    assert str(spec.host("m1").ssh.key) == "/home/a b/m1"


def test_addresses_win_over_the_convention() -> None:
    text = from_ssh_config(config("m1", "worker-2"), "vagrant", addresses={"m1": "10.1.1.1"})
    spec, _ = check(text, "c.yml")
    assert spec is not None
    assert [str(host.address) for host in spec.hosts] == ["10.1.1.1", "192.168.56.22"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this is not the output of `vagrant ssh-config`: no Host line"),
        ("The provider for this Vagrant-managed machine is reporting that it\nis not yet ready for SSH.", "no Host line"),
        (config("db1"), "is db1 a master or a worker?"),
        (config("master"), "the address of master is not known"),
        (config("m1").replace("  Port 2200\n", ""), "gives no Port for m1"),
        (config("m1").replace("  HostName 127.0.0.1\n", ""), "gives no HostName for m1"),
        (config("m1").replace("2200", "22x"), "the port '22x' is no number"),
        (config("m1") + config("w1").replace("User vagrant", "User root"), "the machines have different users: root, vagrant"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_ssh_config(text, "vagrant")
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_the_first_of_two_options_counts_as_for_ssh() -> None:
    assert parse_ssh_config("Host a\n  Port 1\n  port=2\n")["a"] == {"port": "1"}
