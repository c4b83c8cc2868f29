"""Hosts reached as Vagrant's are: user vagrant, loopback ports, the same 10.0.2.15 and default route on each, the cluster on a second interface.

Vagrant itself needs a hypervisor; its network and its login are made here by hand on practice hosts. The text is what `vagrant ssh-config`
prints; all else is the user's own way: inventory.from_vagrant, inventory.trust, cluster.up.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from kbootstrap import inventory
from kbootstrap import lab as labs

pytestmark = pytest.mark.lab

NAT = "10.0.2.15"
FIRST_PORT = 52200
_SSH_CONFIG = """\
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
_USER = """\
useradd -m -s /bin/bash vagrant
install -d -o vagrant -g vagrant -m 700 /home/vagrant/.ssh
echo '{key}' > /home/vagrant/.ssh/authorized_keys
chown vagrant:vagrant /home/vagrant/.ssh/authorized_keys
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/vagrant
chmod 440 /etc/sudoers.d/vagrant
"""


def _inside(host: labs.LabHost, script: str) -> None:
    done = labs.execute(host, ["sh", "-e"], text=script)
    assert done.returncode == 0, done.stderr


def _namespace(host: labs.LabHost, *words: str) -> None:
    subprocess.run(["ip", "-n", host.label, *words], check=True, timeout=10)


def _nat(host: labs.LabHost) -> None:
    """A first interface as VirtualBox's NAT makes it; the default route goes through it."""
    _namespace(host, "link", "add", "nat0", "type", "veth", "peer", "name", "nat0p")
    _namespace(host, "link", "set", "nat0p", "up")
    _namespace(host, "addr", "add", f"{NAT}/24", "dev", "nat0")
    _namespace(host, "link", "set", "nat0", "up")
    _namespace(host, "route", "replace", "default", "via", "10.0.2.2", "dev", "nat0")


@contextmanager
def _forwarded(host: labs.LabHost, port: int) -> Iterator[None]:
    """127.0.0.1:*port* leads to the host's sshd at its NAT address, as VirtualBox forwards it."""
    inner = f"ip netns exec {host.label} socat - TCP\\:{NAT}\\:22"
    with subprocess.Popen(["socat", f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork", f"EXEC:{inner}"]) as forwarder:
        try:
            yield
        finally:
            forwarder.terminate()


def _task(folder: Path, *words: str) -> str:
    """A task as a user calls it, in a folder that holds inventory/."""
    argv = [sys.executable, "-m", "kbootstrap", *words]
    done = subprocess.run(argv, cwd=folder, env=_environment(), capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def _environment() -> dict[str, str]:
    import os  # noqa: PLC0415  only here

    return {**os.environ, "PYTHONPATH": str(Path(inventory.__file__).parents[2])}


def _needs_of_this_machine(cluster_yml: Path, lab: labs.Lab) -> None:
    """The options that any practice host on this machine needs, as its user would write them into the file."""
    wanted = yaml.safe_load((lab.folder / "cluster.yml").read_text())
    kept = {key: wanted[key] for key in ("etcd", "host", "kubelet", "runtime", "proxy") if key in wanted}
    cluster_yml.write_text(cluster_yml.read_text() + yaml.safe_dump(kept))


@pytest.mark.long(seconds=100)
def test_a_cluster_on_hosts_reached_as_vagrants_are(claim: Callable[[str], AbstractContextManager[str]], lab_machine: None, tmp_path: Path) -> None:
    with claim("kbvag") as name, ExitStack() as forwarders:
        lab = labs.up(name=name, masters=1, workers=1, inventory=tmp_path / "lab" / name)
        text, addresses = "", []
        for number, host in enumerate(lab.hosts):
            _inside(host, _USER.format(key=(lab.folder / "ssh" / "id_ed25519.pub").read_text().strip()))
            _nat(host)
            forwarders.enter_context(_forwarded(host, FIRST_PORT + number))
            text += _SSH_CONFIG.format(name=host.name, port=FIRST_PORT + number, key=lab.folder / "ssh" / "id_ed25519")
            addresses.append(f"{host.name}={host.address}")
        (tmp_path / "ssh-config").write_text(text)
        (tmp_path / "inventory").mkdir()
        _task(tmp_path, "inventory.from_vagrant", "--file", str(tmp_path / "ssh-config"), "--addresses", ",".join(addresses))
        _needs_of_this_machine(tmp_path / "inventory" / "vagrant" / "cluster.yml", lab)
        _task(tmp_path, "inventory.trust", "--yes")
        _task(tmp_path, "cluster.up", "--yes")
        spec = inventory.load(tmp_path / "inventory" / "vagrant" / "cluster.yml")
        assert {(str(host.ssh.host), host.ssh.port) for host in spec.hosts} == {("127.0.0.1", FIRST_PORT), ("127.0.0.1", FIRST_PORT + 1)}
        nodes = _task(tmp_path, "cluster.plan", "--json")
        assert yaml.safe_load(nodes)["changes"] == []
        shown = labs.execute(lab.host("m1"), ["kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "get", "nodes", "-o", "wide"]).stdout
        assert all(str(host.address) in shown for host in lab.hosts)
        assert NAT not in shown
