"""``python -m bench.clients.kb_facts <inventory folder> <facts.json>``: every fact of every host as JSON, asked as ``engine/gather.py`` asks."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kbootstrap import inventory
from kbootstrap.remote import fuse
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool
from kbootstrap.remote.ssh import connect
from kbootstrap.store import entropy
from kbootstrap.store.folder import Folder


def main() -> None:
    folder = Folder(root=Path(sys.argv[1]))
    asked = list(json.loads(Path(sys.argv[2]).read_text()).items())

    def ask(connection: Connection) -> dict[str, str]:
        marker = entropy.marker()
        running = connection.run(fuse.read_program(asked, marker))
        found = {section.id: section.output.decode().strip() for section in fuse.split(running.lines(), marker)}
        running.finish()
        return found

    with Pool(inventory.load(folder.cluster_yml).hosts, lambda host: connect(host, known_hosts=folder.known_hosts)) as pool:
        outcomes = pool.map(lambda _, connection: ask(connection))
        sys.stdout.write(json.dumps({name: outcome.get() for name, outcome in outcomes.items()}))


if __name__ == "__main__":
    main()
