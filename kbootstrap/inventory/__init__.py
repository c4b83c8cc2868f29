"""From the text of ``cluster.yml`` to a ``ClusterSpec``, offline, with every problem at its line and column.

The way of a text: document.py (tree with places) → schema.py and shape.py (types, unknown keys) → layers.py (default < cluster < group < host)
→ build.py (ClusterSpec) → rules (meaning). Nothing here writes, connects or asks; ``load`` reads the one file that it is handed.
May import errors, catalog and model. To add a setting: the dataclass in model/cluster.py or host.py, the field in schema.py; to add a rule: one
function in rules.py or rules_network.py and its row in ``RULES``.
"""

from kbootstrap.inventory.finding import Finding, Severity
from kbootstrap.inventory.loading import check, examine, load
from kbootstrap.inventory.origins import explain
from kbootstrap.inventory.schema import json_schema

__all__ = ["Finding", "Severity", "check", "examine", "explain", "json_schema", "load"]
