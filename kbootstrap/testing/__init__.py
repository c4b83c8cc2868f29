"""What tests of several packages share, and what somebody who tests an extension needs: it ships with the library.

``builders`` makes specs and a PKI (``a_cluster(masters=3, workers=2)``), ``fake_host`` is a Connection that answers as told, ``rendered`` the
units of a host as text, ``golden`` compares a folder of texts and rewrites it on request. May import everything below ``engine``; may write
files, nothing of the product imports it. To add one: a module named after what it gives, used by at least two tests.
"""
