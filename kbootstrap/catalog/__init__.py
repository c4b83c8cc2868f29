"""What Kubernetes is, as data: ports, paths, names, releases.

A port, path, version or unit name is written once, here; a test looks for the literals elsewhere. Imports nothing of the project but errors.
To add a component: a row in each table that concerns it.
"""
