"""The kinds that are settings of a host: their probes on this machine, their commands where they do no harm."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kbootstrap.catalog import paths
from kbootstrap.model.plan import Action
from kbootstrap.model.resource import Blob, ContainerImage, Swap, Sysctl
from kbootstrap.remote.local import LocalConnection
from kbootstrap.resources import KINDS, image, swap, sysctl
from kbootstrap.resources.difference import Difference


def answered(text: str, payload: bytes = b"") -> tuple[int, str]:
    running = LocalConnection().run(text, payload=(payload,) if payload else ())
    output = b"\n".join(running.lines()).decode()
    return running.finish().exit_code, output


def seen(kind: str, *names: str) -> dict[str, Any]:
    """What the probe of *kind* finds here; it must not fail, whatever is there or not."""
    code, output = answered(KINDS[kind].probe(names))
    assert code == 0
    return dict(KINDS[kind].parse(output))


ABSENT = {"package": "no-such-package", "module": "no_such_module", "sysctl": "net.no.such", "user": "nosuchuser"}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "swap"])
def test_what_is_not_there_is_absent_and_no_failure(kind: str) -> None:
    name = ABSENT.get(kind, "/no/such")
    assert seen(kind, name).get(name) is None


def test_users() -> None:
    me = pwd.getpwuid(os.getuid())
    assert seen("user", "nosuchuser", me.pw_name) == {me.pw_name: me.pw_dir}


def test_modules_that_are_built_in_count() -> None:
    assert seen("module", "proc", "no_such_module") == {"proc": True}


def test_kernel_settings_of_one_value_and_of_several() -> None:
    found = seen("sysctl", "kernel.ostype", "net.ipv4.ip_local_port_range", "net.no.such")
    assert found["kernel.ostype"] == "Linux"
    low, high = found["net.ipv4.ip_local_port_range"].split()
    assert int(low) < int(high)
    assert "net.no.such" not in found


def test_a_kernel_setting_in_a_network_of_its_own() -> None:
    if os.geteuid():
        pytest.skip("only root may make a network namespace")
    want = Sysctl(name="net.ipv4.ip_forward", value="1")
    order = sysctl.commands(want, Difference(action=Action.UPDATE, reason=""))
    script = f"echo 0 > /proc/sys/net/ipv4/ip_forward\n{sysctl.probe([want.name])}{order.text}{sysctl.probe([want.name])}"
    done = subprocess.run(["unshare", "--net", "sh", "-ec", script], capture_output=True, text=True, check=True)
    before, after = done.stdout.splitlines()
    difference = sysctl.diff(want, sysctl.parse(before)[want.name])
    assert difference is not None
    assert difference.reason == "0, want 1"
    assert sysctl.diff(want, sysctl.parse(after)[want.name]) is None


def test_packages() -> None:
    if not Path("/usr/bin/dpkg-query").exists():
        pytest.skip("no dpkg here")
    assert seen("package", "dpkg", "no-such-package") == {"dpkg": True}


FSTAB = """\
# <file system> <mount point> <type> <options>
UUID=1 / ext4 defaults 0 1
UUID=2 none swap sw 0 0
#UUID=3 none swap sw 0 0
/swap.img\tnone\tswap\tsw\t0\t0
/dev/x /swap ext4 defaults 0 0
tmpfs /var/swap tmpfs swap 0 0
"""


def test_swap_goes_from_fstab_and_nothing_else_does(tmp_path: Path) -> None:
    fstab = tmp_path / "fstab"
    fstab.write_text(FSTAB)

    def here(text: str) -> str:
        return text.replace("/etc/fstab", str(fstab)).replace(paths.BEFORE, str(tmp_path / "before")).replace("/proc/swaps", str(tmp_path / "swaps"))

    head = "Filename\tType\tSize\tUsed\tPriority\n"
    swaps = f"{head}/dev/sda2                               partition\t1\t0\t-2\n/swap\\040file file\t1\t0\t-3\n/dev/zram0 partition\t1\t0\t100\n"
    (tmp_path / "swaps").write_text(swaps)
    found = swap.parse(answered(f"set -e\n{here(swap.probe(['swap']))}")[1])["swap"]
    assert found == (
        "on /dev/sda2",
        "on /swap\\040file",
        "on /dev/zram0 100",
        "fstab UUID=2 none swap sw 0 0",
        "fstab /swap.img\tnone\tswap\tsw\t0\t0",
    )
    difference = swap.diff(Swap(name="swap"), found)
    assert difference is not None
    text = f"set -e\nswapoff() {{ sed -i 2,\\$d {tmp_path}/swaps; }}\n{here(swap.commands(Swap(name='swap'), difference).text)}"
    assert answered(text) == (0, "")
    assert fstab.read_text().splitlines() == [
        f"# kbootstrap: {line}" if line.startswith(("UUID=2", "/swap.img")) else line for line in FSTAB.splitlines()
    ]
    assert (tmp_path / "before/fstab").read_text() == FSTAB
    assert swap.diff(Swap(name="swap"), swap.parse(answered(here(swap.probe(["swap"])))[1])["swap"]) is None
    assert answered(text)[0] == 0
    assert (tmp_path / "before/fstab").read_text() == FSTAB, "the first copy stays"
    assert not list(tmp_path.glob("*.kb-new"))

    # and back: what fstab names, but was off, stays off; what rc.local had switched on comes on; what is gone is told
    program = f'swapon() {{ echo "$*" >>{tmp_path}/said; case $* in *zram0) return 255 ;; esac; echo "${{1%% *}} file" >>{tmp_path}/swaps; }}'
    back = f"set -e\n{program}\n{here(swap.on_again(swap.was_on(found)))}"
    assert answered(back) == (0, "stays the swap /dev/zram0 off, which was on before and does not come on again")
    assert (tmp_path / "said").read_text().splitlines() == ["/dev/sda2", "/swap file", "-p 100 /dev/zram0"]
    assert fstab.read_text() == FSTAB
    (tmp_path / "swaps").write_text(swaps)
    assert answered(back) == (0, "")
    assert len((tmp_path / "said").read_text().splitlines()) == 3, "what is on is let be"


WANT = ContainerImage(name="registry.example/pause:1", blob=Blob(sha256="a" * 64, size=5, path=Path("x")))
CTR = """\
#!/bin/sh
cd "$(dirname "$0")"
case "$*" in
*version) exit 0 ;;
*'images ls -q') [ ! -e broken ] || exit 1; cat images ;;
*'images import --local '*) [ ! -e broken ] && [ "$(cat "${6:-$5}")" = whole ] || exit 1; echo registry.example/pause:1 >> images ;;
*) exit 9 ;;
esac
"""


@pytest.fixture
def containerd(tmp_path: Path) -> Path:
    """A folder with a ``ctr`` that keeps its images in a file."""
    for name, text in (("ctr", CTR), ("images", "other:1\n"), ("data", "")):
        (tmp_path / name).write_text(text)
    (tmp_path / "ctr").chmod(0o755)
    (tmp_path / "data").unlink()
    for name in ("data", "blobs"):
        (tmp_path / name).mkdir()
    (tmp_path / f"blobs/{WANT.blob.sha256}").write_text("whole")
    return tmp_path


def at(folder: Path, text: str) -> str:
    """*text* with containerd's places in *folder*; any file will do for a socket."""
    text = text.replace(f"-S {paths.CONTAINERD_SOCKET}", f"-e {folder}/images").replace(paths.BLOBS, f"{folder}/blobs")
    return text.replace(f"{paths.BIN}/ctr", f"{folder}/ctr").replace(paths.CONTAINERD_DATA, f"{folder}/data")


def there(folder: Path) -> set[str]:
    return set(image.parse(answered(f"set -e\n{at(folder, image.probe([WANT.name]))}")[1]))


def imported(folder: Path) -> int:
    return answered(f"set -e\n{at(folder, image.commands(WANT, Difference(action=Action.CREATE, reason='')).text)}")[0]


def test_an_image_is_imported_and_its_blob_goes(containerd: Path) -> None:
    assert there(containerd) == {"other:1"}
    assert imported(containerd) == 0
    assert there(containerd) == {"other:1", WANT.name}
    assert not list((containerd / "blobs").iterdir())


def test_while_containerd_does_not_answer_what_was_imported_is_believed(containerd: Path) -> None:
    imported(containerd)
    (containerd / "broken").touch()
    assert there(containerd) == {WANT.name}
    (containerd / "broken").unlink()
    (containerd / "images").write_text("other:1\n")
    assert there(containerd) == {"other:1"}, "and no longer once it answers"


def test_a_blob_that_cannot_be_imported_is_thrown_away_to_be_sent_again(containerd: Path) -> None:
    (containerd / f"blobs/{WANT.blob.sha256}").write_text("cut")
    assert imported(containerd) == 1
    assert not list((containerd / "blobs").iterdir())
    assert there(containerd) == {"other:1"}
