"""Rendering: a pure map from the spec and one host to the text of every file.

Policy (each flag, each configuration document) is computed here, one module per component; ``templates/`` only lays out; ``context.py`` is all that a
template may see, ``env.py`` the only user of jinja2. May import errors, catalog and model. A flag is one line in its component's module, and the
golden diff is its review; a component is a module with pure functions, an entry in ``context.py``, a folder in ``templates/``.
"""
