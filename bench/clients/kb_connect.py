"""``python -m bench.clients.kb_connect <inventory folder>``: log in to every host, and no more: what any run costs before it begins."""

from __future__ import annotations

import sys
from pathlib import Path

from kbootstrap import inventory
from kbootstrap.remote.pool import Pool
from kbootstrap.remote.ssh import connect
from kbootstrap.store.folder import Folder


def main() -> None:
    folder = Folder(root=Path(sys.argv[1]))
    with Pool(inventory.load(folder.cluster_yml).hosts, lambda host: connect(host, known_hosts=folder.known_hosts)) as pool:
        for outcome in pool.map(lambda host, connection: None).values():
            outcome.get()


if __name__ == "__main__":
    main()
