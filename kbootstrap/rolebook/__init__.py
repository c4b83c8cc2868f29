"""Roles: what a component needs on a host, in a closed vocabulary.

``role.py`` the shape, ``parse.py`` ``role.yml`` → RoleDef, ``predicates.py`` the names that ``when:`` may use, ``expand.py`` role × host → resources.
May import errors, catalog, model, render, resources, pki and kubeconfig; touches neither hosts nor disk (text comes in, values go out).
A new role is a folder ``roles/<name>/role.yml``, its templates, and its name in ``plan/stages.py``; a new key is a field of RoleDef, a row in
``parse.py`` and a case in ``expand.py``.
"""
