"""Binaries for hosts, verified on the operator's machine before anything else may use them.

``choose`` is the story: which source gives what. ``files`` (official sites, mirrors) and ``gomod`` (built from Go modules) are the sources,
``download`` and ``archive`` their tools, ``records`` the cache that remembers what was verified, ``pins`` the checksums trusted on first use.
May import errors, catalog and model, beside the effects that ``store`` is for. To add a source: a class with the shape of ``source.Source``
and a row in ``choose.sources``.
"""

from kbootstrap.store.artifacts.choose import cached, fetch
from kbootstrap.store.artifacts.download import Reach
from kbootstrap.store.artifacts.records import default_cache

__all__ = ["Reach", "cached", "default_cache", "fetch"]
