"""Effects on hosts: connecting, running one program, streaming bytes. With ``store`` the only package that may touch the outside.

``connection`` is the protocol; ``ssh`` and ``local`` provide it. Below them: ``bootstrap`` (the command, and what follows on stdin), ``program``
(a program under way), ``channel`` and ``transport`` (paramiko), ``sshconfig``, ``hostkeys``, ``login`` (the steps of getting in). Above: ``fuse``
(many texts as one program), ``pool`` (many hosts), ``lock``, ``tls``, ``http``, ``trust``.
May import errors, catalog and model. One connection per host for a whole run; every operation has its own deadline. Another way to a host is
another module with a ``Pipe`` (program.py) and a ``Connection``.
"""
