"""Programs over a real sshd: what goes in comes out, and every wait ends."""

from __future__ import annotations

from typing import Any

from kbootstrap.remote import ssh


def test_program_output_exit_code_and_stderr(sshd: Any, no_agent: None) -> None:
    with ssh.connect(sshd.host(), known_hosts=sshd.known_hosts, ssh_config=None) as connection:
        running = connection.run("cat; id -u; umask; echo $LC_ALL; echo oops >&2; exit 7", payload=[b"a\0b\n"])
        assert list(running.lines()) == [b"a\0b", b"0", b"0077", b"C"]
        finished = running.finish()
    assert (finished.exit_code, finished.stderr) == (7, "oops\n")
