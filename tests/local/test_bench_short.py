"""The benchmark's short form: counts and ratios of CPU seconds, no wall time; and what its hosts and its network must be for that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from bench import measure, short
from bench.servers import PREFIX, PROJECT, hosts, sweep
from tests.processes import gone

DEADLINE_S = 60.0


def test_every_claim_holds() -> None:
    assert [str(claim) for claim in short.claims() if not claim.holds] == []


def test_hosts_end_with_a_driver_that_is_killed() -> None:
    program = (
        "import time; from bench.servers import hosts\nwith hosts(2) as farm:\n print(farm.base, farm.process.pid, flush=True)\n time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=PROJECT, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        base, pid = driver.stdout.readline().split()
        driver.send_signal(signal.SIGKILL)
    assert gone(int(pid), within_s=DEADLINE_S)
    assert Path(base).name.startswith(PREFIX)
    sweep()
    assert not Path(base).exists()


def test_hosts_cannot_change_the_machine() -> None:
    with hosts(1) as farm:
        options = ("-F", "none", "-i", str(farm.key), "-o", f"UserKnownHostsFile={farm.known_hosts}", "-p", str(farm.places[0].port))
        asked = "touch /usr/x; echo 1 > /proc/sys/vm/swappiness; echo mine > /etc/mark; cat /etc/hostname"
        done = subprocess.run(["ssh", *options, "root@127.0.0.1", asked], capture_output=True, text=True, check=True, timeout=DEADLINE_S)
        assert done.stdout == "h1\n"
        assert done.stderr.count("Read-only file system") == 2
        assert (farm.places[0].root / "etc/mark").read_text() == "mine\n"
    assert not Path("/etc/mark").exists()


def test_what_a_command_leaves_behind_is_ended_and_counted(tmp_path: Path) -> None:
    burn = "import os, time\nwhile time.process_time() < 0.4: pass\nopen('done', 'w').close()\ntime.sleep(600)"
    left = f"import subprocess, sys, time, pathlib\nsubprocess.Popen([sys.executable, '-c', {burn!r}], start_new_session=True)\n"
    wait = "while not pathlib.Path('done').exists(): time.sleep(0.01)"
    done = measure.run((sys.executable, "-c", left + wait), cwd=tmp_path, environment={})
    assert done.exit_code == 0
    assert done.cpu_s >= 0.4
    assert [pid for pid in Path("/proc").glob("[0-9]*") if _runs(pid, burn[:20])] == []


def _runs(process: Path, text: str) -> bool:
    try:
        return text in (process / "cmdline").read_text() and process.name != str(os.getpid())
    except OSError:
        return False
