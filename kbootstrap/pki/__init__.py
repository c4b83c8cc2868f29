"""Certificates: which ones a cluster needs, how they are signed, what is wrong with those at hand.

``profiles`` is the one table (subject, SANs, usages, issuer, place on the host), ``issue`` signs what is missing or wrong, ``inspect``
reads certificates back. All pure: clock and randomness are arguments, files are ``store.pki_dir``'s. Imports model, catalog, errors, cryptography.
To add a certificate: a row in ``profiles.py``; nothing else knows the list.
"""
