"""kbootstrap turns bare Linux hosts into a highly available, hardened Kubernetes cluster over SSH.

Layers, imports go down only (``tests/unit/test_layers.py`` enforces it): errors, catalog < model < inventory, topology, probe, pki,
kubeconfig, render, resources, report < rolebook < plan < remote, store < engine, testing, lab < tasks.
Only ``remote`` and ``store`` (and the lab, a tool beside the product) have effects; everything else is values and pure functions.
"""

__version__ = "0.1.0"
