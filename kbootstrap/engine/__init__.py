"""The pipeline: prepare → gather → compare → apply → verify. ``run.py`` tells the story on one page.

``workload`` is the last part of verify: test pods (``site``) that ask each other. Imports everything below; only
``tasks`` imports it. The one place that knows about dry runs is ``run.py``.
"""
