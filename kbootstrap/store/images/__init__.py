"""Container images for clusters without a registry: one tar per image, for ``ctr -n k8s.io images import``.

``obtain`` is the story. ``registry`` fetches published images by digest (from the registry or a mirror with its layout), ``program`` builds the
binary of an image from Go, ``layout`` packs either as an OCI image without any daemon. ``*.go.txt`` are the programs of ours. May import
what ``store`` may, and ``store.artifacts``. To add an image: a row in catalog/releases.yml, and its program if it is ours.
"""

from kbootstrap.store.images.obtain import bundle, cached, pull_refs

__all__ = ["bundle", "cached", "pull_refs"]
