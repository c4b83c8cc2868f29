"""The benchmark: kbootstrap beside its peers, the same work, on the same hosts, in the same minutes. ``./inv bench`` or ``python -m bench``.

What runs. Real OpenSSH servers on loopback, a root folder per host (``farm.py``, ``servers.py``): root in namespaces of their own, /usr and /proc
read-only, gone with the driver however it ends. Several hosts share an sshd where they are many. ``proxy.py`` puts a delay in front of them, and
counts bytes and round trips.

What is done. ``works.py``: W1 twenty rendered files, W2 a binary of 60 MB, W3 twenty facts, W4 the files of the project's own roles ``host`` and
``containerd``, W5 a user's own role. First run, second run, changed where that is another thing. Each contestant (``contestants/``) says how
an expert of that tool does it; ``verify`` looks at the hosts' folders after each run, and who did not do the work fails the row.

What is measured. Wall time of the whole command, interpreter's start and cold connections included; CPU seconds of the controller with all its
children, also those that stay behind; CPU seconds of the hosts; peak memory of the controller. Rounds are interleaved and shuffled, the seed is
printed; medians and ratios to kbootstrap are shown. Wall time is noise on a busy machine: CPU seconds and counts decide (``short.py``, for CI).

To add a tool: a module in ``contestants/`` and its line in ``CONTESTANTS``. To add a work: a function in ``works.py`` and its line in ``WORKS``.
"""
