"""How a program reaches the shell of a host: a short constant command starts ``sh``, the program itself follows on stdin. Pure.

Three dangers are met here. A connection cut while the program is on its way must not run half of it: the text ends with a comment that
holds the marker, and without it nothing is run. Noise that login shells, PAM or sudo print must not be taken for output: the program's
output begins after a line that holds the marker. And what runs must end with its channel, although sshd sends no signal to a program without a
terminal: a watcher writes a NUL to stderr every two seconds (where a program only waits: every thirty), and when nobody takes it any more (or the
deadline passed) it ends the session.
"""

from __future__ import annotations

import math
import shlex
from enum import StrEnum
from typing import Final

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # sudo's secure_path may lack /usr/local/bin
HEARTBEAT: Final = b"\0"
HEARTBEAT_S: Final = 2
LONG_S: Final = 3600.0  # who may run longer than this only waits (a lock): a thousand of them, looked at every two seconds, would keep a machine busy
LONG_HEARTBEAT_S: Final = 30
CUT_SHORT: Final = 113  # exit code of a program that did not arrive whole

_PRELUDE: Final = r"""(
trap '' PIPE
trap 'kill "$c" 2>/dev/null; exit 0' TERM
n=0
while [ $n -lt %(beats)d ]; do
    sleep %(period)d </dev/null >/dev/null 2>&1 & c=$!
    wait $c
    printf '\000' >&2 || break
    n=$((n + 1))
done
trap '' TERM
read -r me rest </proc/self/stat
rest=${rest##*) }; set -- $rest; session=$4
end() {
    for f in /proc/[0-9]*/stat; do
        read -r pid rest <"$f" || continue
        rest=${rest##*) }; set -- $rest
        [ "$4" != "$session" ] || [ "$pid" = "$me" ] || kill "-$signal" "$pid"
    done
}
signal=TERM; end; sleep 1; signal=KILL; end
) </dev/null >/dev/null & watcher=$!
(
"""
_END: Final = r"""
)
rc=$?
kill $watcher 2>/dev/null
exit $rc
#%(marker)s"""


class Privilege(StrEnum):
    """How root is reached: logged in as root, ``sudo -n``, or sudo with a password on stdin."""

    ROOT = "root"
    SUDO = "sudo"
    SUDO_ASKS = "sudo-asks"


_BECOME: Final = {
    Privilege.ROOT: "",
    Privilege.SUDO: "sudo -n -H -- ",
    Privilege.SUDO_ASKS: "sudo -k -S -H -p {marker} -- ",  # -k: always asks or never does, whatever was typed minutes ago
}


def wrap(program: str, *, marker: str, deadline_s: float) -> bytes:
    """What travels on stdin before the payload: *program* in a subshell, its watcher, and the marker that says it is whole.

    ValueError if *program* holds a NUL, which no shell variable can carry.
    """
    if "\0" in program:
        raise ValueError("a program must not hold NUL")
    period_s = heartbeat_s(deadline_s)
    beats = math.ceil(deadline_s / period_s) + 5  # a little after our own deadline, which gives the better message
    text = _PRELUDE % {"beats": beats, "period": period_s} + program + _END % {"marker": marker}
    return text.encode()


def heartbeat_s(deadline_s: float) -> int:
    """How often a program of that deadline shows that somebody still listens."""
    return HEARTBEAT_S if deadline_s <= LONG_S else LONG_HEARTBEAT_S


def command(*, length: int, marker: str, privilege: Privilege) -> str:
    """The constant command: one line that any login shell (csh and fish too) can read, without anything secret."""
    script = (
        f"umask 077; LC_ALL=C; PATH={PATH}; export LC_ALL PATH; echo {marker}; p=$(head -c {length}); "
        f'case $p in *"#{marker}") eval "$p";; *) exit {CUT_SHORT};; esac'
    )
    return f"exec env LC_ALL=C {_BECOME[privilege].format(marker=marker)}sh -c {shlex.quote(script)}"


def why_not_started(stderr: str, *, user: str) -> tuple[str, str]:
    """Message and hint for a shell that ended before the program began, from what sudo or the login shell said."""
    for sign, message, hint in _REASONS:
        if sign in stderr:
            return message.format(user=user), hint.format(user=user)
    said = " / ".join(line.strip() for line in stderr.splitlines()[-3:] if line.strip()) or "nothing"
    return f"user {user} gets no root shell; the host said: {said}", "Log in by hand with ssh and try `sudo -n sh -c id`."


_REASONS: Final = (
    (
        "a password is required",
        "user {user} needs a sudo password",
        "Run again with --ask-sudo-password, set ssh.sudo.password_file in cluster.yml, or allow {user} NOPASSWD in sudoers.",
    ),
    ("must have a tty", "sudo wants a terminal for user {user} (requiretty)", "Add `Defaults:{user} !requiretty` to sudoers on the host."),
    ("not in the sudoers file", "user {user} is not in sudoers", "Allow {user} to run any command as root, or set ssh.user in cluster.yml."),
    ("is not allowed to", "sudoers does not let user {user} run sh as root", "Allow {user} to run any command as root."),
    ("may not run sudo", "user {user} may not run sudo", "Allow {user} to run any command as root, or set ssh.user in cluster.yml."),
    ("sudo: not found", "sudo is not installed", "Install sudo, or log in as root (ssh.user in cluster.yml)."),
    ("sudo': No such file", "sudo is not installed", "Install sudo, or log in as root (ssh.user in cluster.yml)."),
    ("sudo’: No such file", "sudo is not installed", "Install sudo, or log in as root (ssh.user in cluster.yml)."),
    ("account is currently not available", "user {user} has no login shell", "Set ssh.user in cluster.yml to a user with a shell."),
    ("head: not found", "the host has no `head`", "Install coreutils."),
)
