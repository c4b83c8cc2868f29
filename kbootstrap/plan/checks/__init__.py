"""Preflight checks, a module each: ``check(context) -> Iterator[Finding]``; and the health gates (``gates.py``).

A check reads facts, the survey and ledgers only, never contacts anything. What was not asked raises no alarm. To add one: ``<id>.py``, its row with
the reason in ``catalog/checks.py`` (ids have hyphens), its line in ``plan/preflight.CHECKS``; what it asks of a host in ``plan/survey_sh.py``.
"""
