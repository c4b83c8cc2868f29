"""Effects on the operator's machine: disk, downloads, compilers, clock. With ``remote`` the only package that may touch the outside.

``artifacts`` brings verified binaries, ``images`` verified container images, ``assets`` finds the roles and templates that travel with the
package; the PKI directory, state, locks and the clock are modules of their own. May import errors, catalog, model and the pure packages,
never ``remote``. What is written for keeps is written atomically; what is secret or will run as root lies in 0700 directories.
To add a thing: one module named after the noun it keeps.
"""
