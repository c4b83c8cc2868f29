"""Tests: ``unit`` mirrors kbootstrap/, ``cases`` and ``golden`` are data, ``local`` meets real sh, sshd, files and loopback, ``lab`` real hosts.

``suite`` is what ``./inv test`` and CI run; ``conftest`` samples the long lab cases and lets nothing be skipped in CI.
"""
