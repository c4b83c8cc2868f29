"""From desired and observed to a plan: stages, comparison, ledger, checks, explanation. Pure; imports everything below, nothing above.

``stages.py`` is THE list. To add a check: ``checks/<id>.py`` and its line in ``checks/__init__.py``.
"""
