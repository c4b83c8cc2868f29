"""Taking binaries out of a verified archive."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from kbootstrap.errors import ArtifactError


def extract(archive: Path, wanted: Mapping[str, Path]) -> None:
    """Write the regular file of each wanted member (name in the archive → where to write it); ArtifactError if one is not there.

    Names, links, owners and modes of the archive are never applied to the disk: only contents are copied, to paths that the caller chose.
    """
    left = {name.removeprefix("./"): path for name, path in wanted.items()}
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member in tar:
                path = left.get(member.name.removeprefix("./"))
                content = tar.extractfile(member) if path is not None and member.isreg() else None
                if path is None or content is None:
                    continue
                with content, path.open("wb") as file:
                    shutil.copyfileobj(content, file, 1024 * 1024)
                del left[member.name.removeprefix("./")]
                if not left:
                    return
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArtifactError(f"{archive}: cannot be unpacked: {error}") from None
    raise ArtifactError(f"{archive}: has no {', '.join(left)}", hint="catalog/releases.yml names a member that this version does not have.")
