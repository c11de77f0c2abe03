"""A program that stores and deletes, to be killed: `storing.py sealed|s3|portal FOLDER`, resumable by running it again.

It prints a line after each promise of the product: `put NAME`, `deleted NAME`, and `deleting NAME` before it begins to.
What it stores is the canary over and over, so that plaintext on a disk is found by a search.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
CANARY = b"canary 47f1c0: never in clear on any disk. "
MIB = 1 << 20
# A small object, one of several chunks, and one that an S3 store sends in parts.
SIZES = {"small": 500, "chunks": 2 * MIB + 77, "parts": 9 * MIB}


def content(size: int) -> Iterator[bytes]:
    """`size` bytes of canary, in uneven pieces."""
    whole = CANARY * (size // len(CANARY) + 1)
    for at in range(0, size, 700_001):
        yield whole[at : min(size, at + 700_001)]


def say(*words: str) -> None:
    """One line, in one write: a line cut short would promise something else."""
    os.write(1, (" ".join(words) + "\n").encode())


def store_and_delete(store) -> None:
    """Puts each object, destroys the small one and deletes one version of the largest."""
    from storage.errors import Conflict, KeyGone

    for name, size in SIZES.items():
        try:
            store.put(f"object-{name}", 1, content(size))
        except Conflict:
            pass
        except KeyGone:  # Destroyed by the run before; the name is not used again.
            continue
        say("put", name)
    say("deleting", "small")
    store.destroy("object-small")
    say("deleted", "small")
    say("deleting", "parts")
    store.delete("object-parts", 1)
    say("deleted", "parts")


def keyring_at(folder: Path):
    """The keyring of the folder, made when it is not there."""
    from storage.kek import KekFolder
    from storage.keyring import SqliteKeyring

    keks = KekFolder(folder / "kek")
    if not keks.epochs:
        keks.create(1)
    return SqliteKeyring(folder / "keyring.db", keks)


def sealed_local(folder: Path):
    """The sealed layer over a folder."""
    from storage.local import LocalStore
    from storage.sealed import SealedStore

    return SealedStore(LocalStore(folder / "objects"), keyring_at(folder))


def sealed_s3(folder: Path):
    """The sealed layer over the bucket that `server.json` beside the folder names, its uploads on record."""
    from gateway.custody.uploads import UploadRecords
    from gateway.db import Database
    from storage.s3 import S3Store, make_client
    from storage.sealed import SealedStore

    server = json.loads((folder.parent / "server.json").read_text())
    client = make_client(server["endpoint"], server["access_key"], server["secret_key"], "us-east-1")
    database = Database(f"sqlite:///{folder / 'records.db'}", bytes(32))
    journal = UploadRecords(database, "objects", lambda: datetime.now(UTC))
    return SealedStore(
        S3Store(client, server["bucket"], f"{folder.name}/", journal=journal), keyring_at(folder)
    )


def upload_through_portal(folder: Path) -> None:
    """Two uploads by the archive's own jobs: one is completed, one given up; ids stand in `portal.json`."""
    from gateway import bootstrap
    from gateway.archive import service as archive
    from gateway.config import Settings
    from gateway.identity.principals import find
    from storage.sealed import PART_SIZE

    given = json.loads((folder / "portal.json").read_text())
    deps = bootstrap.build(Settings(**given["settings"]))
    with deps.database.read() as session:
        actor = find(session, given["actor"], datetime.now(UTC)).actor
    data = b"".join(content(SIZES["parts"]))
    for name, finish in (("kept.pdf", True), ("dropped.pdf", False)):
        now = datetime.now(UTC)
        upload = archive.start_upload(
            deps, given["item"], file_name=name, size=len(data), actor=actor, now=now
        )
        say("begun", name, upload.id)
        for number in range(1, upload.parts + 1):
            if number in upload.have:
                continue
            part = data[(number - 1) * PART_SIZE : number * PART_SIZE]
            archive.put_part(deps, upload.id, number, part, actor=actor, now=now)
            say("part", name, str(number))
        if finish:
            archive.complete_upload(deps, upload.id, actor=actor, now=now)
            say("put", name, str(upload.version))
        else:
            say("deleting", name, str(upload.version))
            archive.abort_upload(deps, upload.id, actor=actor, now=now)
            say("deleted", name, str(upload.version))
    deps.database.close()


def main(kind: str, folder: Path) -> None:
    """Does what is asked for, to the end."""
    if kind == "portal":
        upload_through_portal(folder)
    else:
        store_and_delete({"sealed": sealed_local, "s3": sealed_s3}[kind](folder))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(sys.argv[1], Path(sys.argv[2]))
