"""The command that sshd is given, and what follows on stdin."""

from __future__ import annotations

import pytest

from kbootstrap.remote import bootstrap
from kbootstrap.remote.bootstrap import Privilege


def test_the_program_is_never_in_the_command() -> None:
    text = bootstrap.wrap("echo hunter2", marker="kb-1", deadline_s=60)
    for privilege in Privilege:
        command = bootstrap.command(length=len(text), marker="kb-1", privilege=privilege)
        assert "hunter2" not in command
        assert str(len(text)) in command
        assert "\n" not in command  # csh reads no quoted newline
        assert "!" not in command  # nor this
        assert command.startswith("exec env LC_ALL=C ")  # csh and fish know no VAR=value before a command


@pytest.mark.parametrize(
    ("privilege", "start"),
    [
        (Privilege.ROOT, "exec env LC_ALL=C sh -c "),
        (Privilege.SUDO, "exec env LC_ALL=C sudo -n -H -- sh -c "),
        (Privilege.SUDO_ASKS, "exec env LC_ALL=C sudo -k -S -H -p kb-1 -- sh -c "),
    ],
)
def test_becoming_root(privilege: Privilege, start: str) -> None:
    assert bootstrap.command(length=9, marker="kb-1", privilege=privilege).startswith(start)


def test_the_text_ends_with_the_marker_that_says_it_is_whole() -> None:
    assert bootstrap.wrap("true", marker="kb-1", deadline_s=60).endswith(b"\n#kb-1")


def test_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        bootstrap.wrap("echo \0", marker="kb-1", deadline_s=60)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("sudo: a password is required\n", "user kb needs a sudo password"),
        ("kb is not in the sudoers file.  This incident has been reported to the administrator.\n", "user kb is not in sudoers"),
        ("env: ‘sudo’: No such file or directory\n", "sudo is not installed"),
        ("This account is currently not available.\n", "user kb has no login shell"),
        ("", "user kb gets no root shell; the host said: nothing"),
        ("a\nb\n\nc\nd\n", "user kb gets no root shell; the host said: c / d"),
    ],
)
def test_why_no_shell_started(said: str, message: str) -> None:
    what, hint = bootstrap.why_not_started(said, user="kb")
    assert what == message
    assert hint


def test_who_only_waits_is_looked_at_seldom() -> None:
    short, day = (bootstrap.wrap("true", marker="kb-1", deadline_s=deadline_s).decode() for deadline_s in (60, 24 * 3600.0))
    assert f"sleep {bootstrap.HEARTBEAT_S} " in short
    assert f"sleep {bootstrap.LONG_HEARTBEAT_S} " in day
