"""What proves a port between two hosts: a static program of a few KiB, how it is talked to, and what its answers mean. Pure.

``kb-probe.c`` is the program's one source, ``kb-probe.amd64`` and ``kb-probe.arm64`` are what a compiler made of it (``kb-probe.built`` says which);
they travel in the wheel, so that no host needs a compiler or Python. ``binary`` gives them and builds them, ``talk`` has the lines on its standard
streams and the shell program that starts it, ``judge`` turns what it met into a verdict. ``engine/ports.py`` runs it.
May import errors, catalog and model. To build the program again after a change of its source: ``KB_UPDATE_GOLDEN=1`` with
tests/local/test_probe_build.py. Another architecture: its system calls in kb-probe.c, its compiler in ``binary.COMPILERS``.
"""
