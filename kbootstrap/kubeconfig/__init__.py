"""Kubeconfig documents: build one, read one, merge one into the user's own and take it out again. Text in, text out; nothing here opens a file.

Names: a cluster entry is called as the cluster (``lab``; ``lab-m1`` where each master has its own), its context ``<user>@<cluster entry>``, its
user entry ``<cluster>-<user>``, so that the files of two clusters merge without a clash. Entries made for merging carry an extension that
says whose they are (``owner``: the cluster's id, which outlives every renewal): that alone, never a name, allows ``merge`` to replace one.

``build`` makes documents, ``document`` parses and writes YAML as kubectl understands it, ``access`` says what a context gives, ``edit`` merges
and removes without a change to anybody else's entry, ``people`` is what a person's own kubeconfig may ask for. Imports model, catalog, errors.
"""

from kbootstrap.kubeconfig.access import Access, contexts, read
from kbootstrap.kubeconfig.build import admin, build, endpoint_url, for_host, servers
from kbootstrap.kubeconfig.document import owner_of, parse
from kbootstrap.kubeconfig.edit import Edited, merge, merge_all, remove

__all__ = [
    "Access",
    "Edited",
    "admin",
    "build",
    "contexts",
    "endpoint_url",
    "for_host",
    "merge",
    "merge_all",
    "owner_of",
    "parse",
    "read",
    "remove",
    "servers",
]
