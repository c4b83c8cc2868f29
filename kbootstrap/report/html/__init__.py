"""The report that people look at: one page, complete in itself, from one value. Pure and deterministic; no script, no request, no image file.

``view.py`` is the value (``--json`` prints the same), ``page.py`` puts the sections together, and each section is a module with a function from
the view to markup. All text passes through ``markup.el``, which escapes it: names and rules come from hosts and may be hostile.
May import errors, catalog, model and its siblings in ``report``. To add a section: a module, and its line in ``page.SECTIONS``.
"""

from __future__ import annotations

from kbootstrap.report.html.data import data
from kbootstrap.report.html.issues import verdict
from kbootstrap.report.html.matrix import matrix_page, matrix_section
from kbootstrap.report.html.page import page
from kbootstrap.report.html.view import Row, View

__all__ = ["Row", "View", "data", "matrix_page", "matrix_section", "page", "verdict"]
