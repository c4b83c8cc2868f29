"""Which cgroup hierarchies a machine has, from the texts of /proc."""

from __future__ import annotations

from pathlib import Path

from kbootstrap.lab import cgroup

V1 = "4:memory:/tool/a\n3:cpu,cpuacct:/\n2:name=systemd:/user\n0::/\n"
V1_MOUNTS = """\
20 1 0:20 / / rw - ext4 /dev/x rw
30 20 0:30 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 30 0:32 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:33 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
34 30 0:34 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""


def test_every_controller_of_v1_has_its_own_folder_and_the_unified_tree_too() -> None:
    own = {",".join(sorted(h.controllers)): str(h.own) for h in cgroup.parse(V1, V1_MOUNTS)}
    assert own == {
        "memory": "/sys/fs/cgroup/memory/tool/a",
        "cpu,cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "name=systemd": "/sys/fs/cgroup/systemd/user",
        "": "/sys/fs/cgroup/unified",
    }


def test_v2_alone() -> None:
    (only,) = cgroup.parse("0::/user.slice/session\n", "31 30 0:31 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n")
    assert only == cgroup.Hierarchy(mount=Path("/sys/fs/cgroup"), own=Path("/sys/fs/cgroup/user.slice/session"), controllers=frozenset())


def test_in_a_container_the_mount_shows_only_a_part_of_the_tree() -> None:
    (only,) = cgroup.parse("4:memory:/box/1\n", "31 30 0:31 /box/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n")
    assert only.own == Path("/sys/fs/cgroup/memory")


def test_a_hierarchy_that_is_not_mounted_is_left_out() -> None:
    assert cgroup.parse("4:memory:/\n0::/\n", "20 1 0:20 / / rw - ext4 /dev/x rw\n") == ()
