"""Why a pair fails: from what a host's kernel said of the probe's packets to the rule, its place in ufw or firewalld, and the command that mends it.

``script`` is what a host is asked, ``trace`` reads nftables' trace, ``saved`` iptables' listings and counters, ``kernel`` routes, listeners and
drop counters; ``places`` knows ufw and firewalld, ``mend`` their commands; ``evidence`` is one host's answers as values, ``judge`` the verdict.
All pure; imports catalog, model and resources. ``engine/trace.py`` carries questions and answers. To add a stack: its chains in ``places``, its
command in ``mend``, and a captured trace in ``tests/unit/plan/attribution``.
"""
