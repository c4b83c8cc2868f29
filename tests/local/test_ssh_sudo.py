"""Becoming root by the machine's real sudo, as a user that exists only during the test."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kbootstrap.errors import PrivilegeError
from kbootstrap.model.host import Sudo
from kbootstrap.remote import ssh
from kbootstrap.remote.ssh import SshConnection
from tests.processes import gone

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("sudo") or not shutil.which("useradd"), reason="needs root, sudo and useradd")

SESAME = "correct horse"


@pytest.fixture
def user() -> Iterator[str]:
    name = f"kbtest{secrets.token_hex(3)}"
    subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/sh", name], check=True)
    subprocess.run(["chpasswd"], input=f"{name}:{SESAME}".encode(), check=True)
    yield name
    Path(f"/etc/sudoers.d/{name}").unlink(missing_ok=True)
    subprocess.run(["userdel", "--force", name], check=True, capture_output=True)


def sudoers(user: str, *lines: str) -> None:
    path = Path(f"/etc/sudoers.d/{user}")
    path.write_text("".join(f"{line.format(user=user)}\n" for line in lines))
    path.chmod(0o440)


def enter(sshd: Any, user: str, password: str | None = None) -> SshConnection:
    sudo = Sudo(needed=True, password=password is not None)
    ask = None if password is None else lambda: password
    return ssh.connect(sshd.host(user=user, sudo=sudo), known_hosts=sshd.known_hosts, password=ask, ssh_config=None)


BINARY = bytes(range(256)) * 4096
COPY = "id -u; umask; cat >$KB_OUT.x; cat $KB_OUT.x; rm $KB_OUT.x".replace("$KB_OUT", "/run/kbtest-copy")


def check_copy(connection: SshConnection) -> None:
    """Root, and every byte both ways."""
    running = connection.run(COPY, payload=[BINARY])
    output = b"\n".join(running.lines())
    assert running.finish().exit_code == 0
    head, _, rest = output.partition(b"\n0077\n")
    assert head == b"0"
    assert rest == BINARY


@pytest.mark.parametrize("option", ["!use_pty", "use_pty", "lecture=always", "secure_path=/usr/bin:/bin"])
def test_sudo_without_password(sshd: Any, no_agent: None, user: str, option: str) -> None:
    sudoers(user, "Defaults:{user} " + option, "{user} ALL=(ALL) NOPASSWD: ALL")
    with enter(sshd, user) as connection:
        check_copy(connection)


@pytest.mark.parametrize("option", ["!use_pty", "use_pty", "lecture=always", "timestamp_timeout=0", "env_reset"])
def test_sudo_with_password(sshd: Any, no_agent: None, user: str, option: str) -> None:
    sudoers(user, "Defaults:{user} " + option, "{user} ALL=(ALL) ALL")
    with enter(sshd, user, SESAME) as connection:
        check_copy(connection)
        check_copy(connection)


def test_a_password_that_sudo_does_not_ask_for_never_reaches_the_program(sshd: Any, no_agent: None, user: str) -> None:
    sudoers(user, "{user} ALL=(ALL) NOPASSWD: ALL")
    with enter(sshd, user, SESAME) as connection:
        check_copy(connection)


def test_password_needed_and_none_given_is_said_at_once(sshd: Any, no_agent: None, user: str) -> None:
    sudoers(user, "{user} ALL=(ALL) ALL")
    start = time.monotonic()
    with enter(sshd, user) as connection, pytest.raises(PrivilegeError) as caught:
        connection.run("id").finish()
    assert time.monotonic() - start < 5
    assert str(caught.value) == f"m1: user {user} needs a sudo password"
    assert "--ask-sudo-password" in caught.value.hint


def test_wrong_password(sshd: Any, no_agent: None, user: str) -> None:
    sudoers(user, "{user} ALL=(ALL) ALL")
    with enter(sshd, user, "wrong") as connection, pytest.raises(PrivilegeError, match=f"sudo refuses the password of user {user}"):
        connection.run("id")


def test_user_not_in_sudoers(sshd: Any, no_agent: None, user: str) -> None:
    with enter(sshd, user) as connection, pytest.raises(PrivilegeError):
        connection.run("id").finish()
    with enter(sshd, user, SESAME) as connection, pytest.raises(PrivilegeError, match="is not in sudoers"):
        connection.run("id").finish()


def test_requiretty_says_what_to_change(sshd: Any, no_agent: None, user: str) -> None:
    sudoers(user, "Defaults:{user} requiretty", "{user} ALL=(ALL) NOPASSWD: ALL")
    with enter(sshd, user) as connection, pytest.raises(PrivilegeError, match="wants a terminal") as caught:
        connection.run("id").finish()
    assert "!requiretty" in caught.value.hint


def test_sudo_revoked_between_two_programs(sshd: Any, no_agent: None, user: str) -> None:
    sudoers(user, "{user} ALL=(ALL) NOPASSWD: ALL")
    with enter(sshd, user) as connection:
        check_copy(connection)
        sudoers(user, "# nothing")
        with pytest.raises(PrivilegeError):
            connection.run("id").finish()


def test_nothing_secret_in_any_argument_or_environment(sshd: Any, no_agent: None, user: str) -> None:
    sudoers(user, "{user} ALL=(ALL) ALL")
    with enter(sshd, user, SESAME) as connection:
        running = connection.run("secret=hunter2; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'")
        seen = b"\n".join(running.lines())
        running.finish()
    assert b"sh -c" in seen or b"\nsh\n-c\n" in seen
    assert b"hunter2" not in seen
    assert SESAME.encode() not in seen


@pytest.mark.parametrize("password", [None, SESAME])
def test_root_processes_end_with_the_channel(sshd: Any, no_agent: None, user: str, password: str | None, tmp_path: Path) -> None:
    sudoers(user, "Defaults:{user} use_pty", "{user} ALL=(ALL) " + ("ALL" if password else "NOPASSWD: ALL"))
    with enter(sshd, user, password) as connection:
        running = connection.run("sh -c 'echo $$; exec sleep 1000'")
        pid = int(next(running.lines()))
        running.close()
        assert gone(pid), "still running"
