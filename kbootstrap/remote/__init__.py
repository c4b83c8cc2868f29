"""Effects on hosts: connecting, running one program, streaming bytes. With ``store`` the only package that may touch the outside.

May import errors, catalog and model. One connection per host for a whole run; every operation has its own deadline.
"""
