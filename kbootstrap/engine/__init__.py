"""The pipeline: prepare → gather → compare → apply → verify. ``run.py`` tells the story on one page.

Imports everything below; only ``tasks`` imports it. The one place that knows about dry runs is ``run.py``.
"""
