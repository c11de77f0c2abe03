"""What makes a new name last: the folder that holds it is synced like the file itself."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Forces a folder's entries to disk, so that a rename or a new file outlives a crash; raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
