"""The lab: real hosts to practise on, made of systemd-nspawn machines on one Linux box; a tool beside the product.

Each host boots systemd, sshd and a firewall of its own in its own network namespace on one bridge; nothing is imitated but the kernel,
which all share. ``life`` is a whole lab, ``host`` the life of one host; ``image``, ``seed``, ``network``, ``cgroup``, ``process``,
``machine`` each know one concern, ``folder`` writes the inventory, ``record`` remembers what was made.
May import errors, catalog and model; only ``tasks/lab.py``, ``tasks/demo.py`` and tests import it. To add a fault: a function in
``host`` that takes a LabHost.
"""

from kbootstrap.lab.folder import ssh_argv
from kbootstrap.lab.host import bare, boot, crash, execute, pid, power_cut, power_off
from kbootstrap.lab.life import HostStatus, down, find, status, traces, up
from kbootstrap.lab.network import plug, unplug
from kbootstrap.lab.value import Lab, LabHost

__all__ = [
    "HostStatus", "Lab", "LabHost", "bare", "boot", "crash", "down", "execute", "find", "pid", "plug", "power_cut", "power_off", "ssh_argv",
    "status", "traces", "unplug", "up",
]  # fmt: skip
