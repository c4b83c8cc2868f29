"""The project's nouns as frozen values: cluster, facts, resource, command, plan, events, report.

Imports only errors and catalog. A value here is valid once it exists; whoever reads text (inventory, rolebook) rejects what is not.
"""
