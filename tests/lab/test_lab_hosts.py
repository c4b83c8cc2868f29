"""Practice hosts behave as real ones, and nothing of them stays on the machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kbootstrap import inventory
from kbootstrap import lab as labs
from kbootstrap.errors import UsageError
from kbootstrap.lab import process, record

Claim = Callable[[str], AbstractContextManager[str]]
pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("lab_machine")]
_DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def pair(lab_machine: None, claim: Claim, tmp_path_factory: pytest.TempPathFactory) -> Iterator[labs.Lab]:
    """One master (root logs in) and one worker (kb logs in) for this module."""
    with claim("kbpair") as name:
        yield labs.up(name=name, masters=1, workers=1, inventory=tmp_path_factory.mktemp("inventory") / name)


@pytest.fixture
def whole(pair: labs.Lab) -> labs.Lab:
    """The pair with both hosts running, whatever the test before did."""
    for host in pair.hosts:
        labs.boot(host)
    return pair


def inside(host: labs.LabHost, script: str) -> str:
    done = labs.execute(host, ["sh", "-ec", script])
    assert done.returncode == 0, f"{host.name}: {script}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def ssh(lab: labs.Lab, host: labs.LabHost, script: str, *, text: str = "") -> subprocess.CompletedProcess[str]:
    argv = [*labs.ssh_argv(lab, host), script]
    return subprocess.run(argv, input=text, capture_output=True, text=True, timeout=_DEADLINE_S, check=False)


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {_DEADLINE_S} s: {what}"
        time.sleep(0.005)


def test_root_logs_in_with_the_real_ssh_client(whole: labs.Lab) -> None:
    done = ssh(whole, whole.host("m1"), "id -un; hostname")
    assert (done.stdout, done.returncode) == ("root\nm1\n", 0), done.stderr


def test_a_sudo_user_logs_in_and_must_give_the_password(whole: labs.Lab) -> None:
    host = whole.host("w1")
    assert ssh(whole, host, "id -un").stdout == "kb\n"
    refused = ssh(whole, host, "sudo -n true")
    assert refused.returncode == 1
    assert "password is required" in refused.stderr
    password = (whole.folder / "sudo.pass").read_text()
    assert ssh(whole, host, "sudo -S -p '' id -un", text=password).stdout == "root\n"


def test_a_host_with_another_key_is_refused_by_the_known_hosts_file(whole: labs.Lab, tmp_path: Path) -> None:
    known = (whole.folder / "known_hosts").read_text().splitlines()
    swapped = tmp_path / "known_hosts"
    swapped.write_text(f"{whole.hosts[0].address} {known[1].partition(' ')[2]}\n")
    argv = [part.replace(str(whole.folder / "known_hosts"), str(swapped)) for part in labs.ssh_argv(whole, whole.hosts[0])]
    done = subprocess.run([*argv, "true"], capture_output=True, text=True, timeout=_DEADLINE_S, check=False)
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_secrets_are_readable_by_their_owner_only(whole: labs.Lab) -> None:
    for name in ("ssh/id_ed25519", "sudo.pass"):
        assert (whole.folder / name).stat().st_mode & 0o777 == 0o600, name
    assert (whole.folder / "ssh").stat().st_mode & 0o777 == 0o700


def test_the_written_inventory_is_valid_and_describes_the_hosts(whole: labs.Lab) -> None:
    spec = inventory.load(whole.folder / "cluster.yml")
    assert [(h.name, h.address, h.ssh.user, h.ssh.sudo.needed) for h in spec.hosts] == [
        (h.name, h.address, h.login, h.login != "root") for h in whole.hosts
    ]
    assert spec.hosts[1].ssh.sudo.password_file == whole.folder / "sudo.pass"


def test_every_host_is_itself(whole: labs.Lab) -> None:
    for fact in ("cat /etc/machine-id", "cat /etc/ssh/ssh_host_ed25519_key.pub", "hostname", "cat /sys/class/net/eth0/address"):
        assert len({inside(host, fact) for host in whole.hosts}) == len(whole.hosts), fact


def test_a_host_has_what_kubernetes_asks_of_one(whole: labs.Lab) -> None:
    host = whole.host("w1")
    assert inside(host, "systemctl is-system-running --wait") == "running"
    assert inside(host, "findmnt -no PROPAGATION /") == "shared"
    inside(host, "dd if=/dev/kmsg bs=8192 count=1 status=none | grep -q .")
    inside(host, "sysctl -qw net.ipv4.ip_forward=1 && nft add table ip probe && nft delete table ip probe")
    inside(host, "ip link add probe type bridge && ip link delete probe")
    inside(host, "for d in $(findmnt -lno TARGET -t cgroup,cgroup2); do mkdir $d/probe && rmdir $d/probe; done")
    layers = "lowerdir=/etc,upperdir=/var/lib/probe/u,workdir=/var/lib/probe/w"
    inside(host, f"cd /var/lib && mkdir -p probe/u probe/w probe/m && mount -t overlay -o {layers} x probe/m && umount probe/m && rm -r probe")


@pytest.mark.parametrize("way", ["ssh", "execute"])
def test_a_host_cannot_set_the_clock_of_the_machine(whole: labs.Lab, way: str) -> None:
    script = 'date -s "@$(date +%s)"'  # were it allowed, no harm would come of it
    done = ssh(whole, whole.host("m1"), script) if way == "ssh" else labs.execute(whole.host("m1"), ["sh", "-c", script])
    assert done.returncode == 1
    assert "cannot set date" in done.stderr


@pytest.mark.parametrize("end", [labs.power_off, labs.crash, labs.power_cut])
def test_boot_finds_the_disk_as_it_was_and_a_fresh_network(whole: labs.Lab, end: Callable[[labs.LabHost], None]) -> None:
    host = whole.host("w1")
    inside(host, "echo root >/etc/kept; echo lib >/var/lib/kept; sync; nft add table ip gone; ip link add gone type bridge; touch /run/gone")
    identity = inside(host, "cat /etc/machine-id")
    end(host)
    assert not labs.pid(host)
    labs.boot(host)
    assert inside(host, "cat /etc/kept /var/lib/kept; nft list tables; ls -d /sys/class/net/gone /run/gone 2>/dev/null || true") == "root\nlib"
    assert inside(host, "cat /etc/machine-id") == identity
    assert ssh(whole, host, "true").returncode == 0


def test_a_crash_is_heard_by_peers_and_a_power_cut_is_not(whole: labs.Lab) -> None:
    host = whole.host("w1")
    with socket.create_connection((str(host.address), 22), timeout=_DEADLINE_S) as connection:
        assert connection.recv(4) == b"SSH-"
        labs.crash(host)
        try:
            while connection.recv(4096):  # the rest of the banner, then the end
                pass
        except ConnectionResetError:
            pass  # as good an end as any: the peer knows
    labs.boot(host)
    with socket.create_connection((str(host.address), 22), timeout=_DEADLINE_S) as connection:
        while not connection.recv(4096).endswith(b"\n"):
            pass
        labs.power_cut(host)
        connection.settimeout(1.0)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_a_bare_host_has_forgotten_everything_but_who_it_is(whole: labs.Lab) -> None:
    host = whole.host("w1")
    inside(host, "echo x >/etc/forgotten; echo x >/var/lib/forgotten; rm /usr/bin/socat")
    identity = inside(host, "cat /etc/machine-id")
    labs.bare(host)
    assert inside(host, "ls /etc/forgotten /var/lib/forgotten 2>/dev/null || true; ls /usr/bin/socat") == "/usr/bin/socat"
    assert inside(host, "cat /etc/machine-id") == identity
    assert ssh(whole, host, "true").returncode == 0


def test_every_host_of_the_shared_lab_reaches_every_other(shared_lab: labs.Lab) -> None:
    assert [host.name for host in shared_lab.hosts] == ["m1", "m2", "m3", "w1", "w2"]
    for host in shared_lab.hosts:
        labs.boot(host)
    for host in shared_lab.hosts:
        for other in shared_lab.hosts:
            inside(host, f"timeout 5 bash -c 'read -n4 x </dev/tcp/{other.address}/22; test $x = SSH-'")


def test_up_again_starts_only_what_is_missing(whole: labs.Lab) -> None:
    m1, w1 = whole.hosts
    before = labs.pid(m1)
    labs.crash(w1)
    labs.up(name=whole.name, masters=1, workers=1, inventory=whole.folder)
    assert labs.pid(m1) == before
    assert all(s.pid and s.ssh for s in labs.status(whole))


def test_lab_ssh_runs_what_follows_the_dashes_and_ends_with_its_code(whole: labs.Lab) -> None:
    program = [sys.executable, "-m", "kbootstrap", "lab.ssh", "m1", "--name", whole.name]
    done = subprocess.run([*program, "--", "uname", "-n;", "exit", "7"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("m1\n", 7), done.stderr
    done = subprocess.run([*program, "--command", "ls -d /etc"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("/etc\n", 0), done.stderr


def test_up_with_another_shape_is_refused(whole: labs.Lab) -> None:
    with pytest.raises(UsageError, match="1 masters, 1 workers") as caught:
        labs.up(name=whole.name, masters=3, workers=1, inventory=whole.folder)
    assert f"invoke lab.down --name {whole.name};" in caught.value.hint


def test_labs_stand_side_by_side_and_go_one_by_one(whole: labs.Lab, claim: Claim, tmp_path: Path) -> None:
    before = {host.name: labs.pid(host) for host in whole.hosts}
    with claim("kbside") as name:
        other = labs.up(name=name, masters=1, workers=0, inventory=tmp_path / name)
        assert not other.network.overlaps(whole.network)
    assert {host.name: labs.pid(host) for host in whole.hosts} == before
    assert ssh(whole, whole.host("m1"), "true").returncode == 0


def test_down_keeps_what_the_user_wrote(claim: Claim, tmp_path: Path) -> None:
    with claim("kbedit") as name:
        lab = labs.up(name=name, masters=1, workers=0, inventory=tmp_path / name)
        text = (lab.folder / "cluster.yml").read_text().replace("heartbeat_ms: 300", "heartbeat_ms: 400")
        (lab.folder / "cluster.yml").write_text(text)
        labs.up(name=name, masters=1, workers=0, inventory=tmp_path / name)
        assert (lab.folder / "cluster.yml").read_text() == text
        said: list[str] = []
        labs.down(name, say=said.append)
        assert [path.name for path in lab.folder.iterdir()] == ["cluster.yml.edited"]
        assert any("cluster.yml.edited" in line for line in said)


def leftovers(name: str) -> list[str]:
    """What this machine still knows of the lab *name*, asked of the kernel itself rather than of the lab's own search."""
    label = f"kb-{name}"
    home = str(record.home(name))
    found = [f"link {link.name}" for link in Path("/sys/class/net").iterdir() if link.name.startswith(label)]
    for folder in ("/run/netns", "/run/systemd/nspawn/propagate"):
        found += [str(p) for p in Path(folder).glob(f"{label}*")]
    found += [str(p) for p in record.cache().glob("*.partial")] + ([home] if Path(home).exists() else [])
    cgroups = subprocess.run(["find", "/sys/fs/cgroup", "-name", f"{label}*"], capture_output=True, text=True, check=True)
    found += [f"cgroup {line}" for line in cgroups.stdout.splitlines()]
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and int(place.name) != os.getpid():
            for file in ("cmdline", "cgroup", "mountinfo"):  # mountinfo of every process: a mount may be pinned by another's namespace
                try:
                    if (place / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "Z":
                        break  # dead; the machine's own PID 1 has yet to notice
                    text = (place / file).read_text(errors="replace")
                except OSError:  # it ended meanwhile
                    continue
                if label in text or f"{home}/" in text:
                    found.append(f"process {place.name}: {file} names the lab")
    return found


def _has(path: str) -> Callable[[str], bool]:
    return lambda name: (record.home(name) / path).exists()


MOMENTS: dict[str, Callable[[str], bool]] = {
    "recorded": _has("lab.json"),
    "seeded": _has("hosts/m1/seed"),
    "bridge": lambda name: Path(f"/sys/class/net/kb-{name}").exists(),
    "disk": _has("hosts/m1/varlib"),
    "namespace": lambda name: Path(f"/run/netns/kb-{name}-w1").exists(),
    "launched": lambda name: bool(process.members(record.labels(name))),
    "pid1": lambda name: bool(process.first(f"kb-{name}-m1")),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_down_removes_what_a_killed_up_left(moment: str, claim: Claim, tmp_path: Path) -> None:
    with claim("kbkill") as name:
        options = f"name={name!r}, masters=1, workers=1, inventory=Path({str(tmp_path / 'i')!r})"
        script = f"from pathlib import Path; from kbootstrap import lab; lab.up({options})"
        tool = subprocess.Popen([sys.executable, "-c", script], cwd=Path(labs.__file__).parents[2], stderr=subprocess.DEVNULL)
        until(lambda: MOMENTS[moment](name) or tool.poll() is not None, moment)
        tool.send_signal(signal.SIGKILL)
        tool.wait()
        labs.down(name)
        assert leftovers(name) == []
        assert labs.traces(name) == ()
        assert not (tmp_path / "i").exists()


def test_down_removes_hosts_whose_nspawn_was_killed(claim: Claim, tmp_path: Path) -> None:
    with claim("kbkill") as name:
        lab = labs.up(name=name, masters=1, workers=0, inventory=tmp_path / name)
        orphan = labs.pid(lab.hosts[0])
        parent = int((Path("/proc") / str(orphan) / "stat").read_text().rpartition(")")[2].split()[1])
        os.kill(parent, signal.SIGKILL)
        until(lambda: not process.alive(parent), "the end of nspawn")
        inside(lab.hosts[0], "mkdir -p /var/lib/kubelet/pods && mount -t tmpfs x /var/lib/kubelet/pods")
        assert labs.pid(lab.hosts[0]) == orphan, "the host outlives its nspawn"
        labs.down(name)
        assert leftovers(name) == []
        labs.down(name)


def test_down_finds_a_lab_without_its_record(claim: Claim, tmp_path: Path) -> None:
    with claim("kbkill") as name:
        labs.up(name=name, masters=1, workers=0, inventory=tmp_path / name)
        (record.home(name) / "lab.json").unlink()
        labs.down(name)
        assert leftovers(name) == []
