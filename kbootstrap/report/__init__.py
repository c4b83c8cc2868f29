"""Events, plans and results → text for people, JSON for programs. Pure: whoever calls prints.

May import errors, catalog, model. To add a form: a module with functions from values to ``str``.
"""
