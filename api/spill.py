"""The linkage engine's spill folders: one for each run, gone when it ends; a crash's at the next start.

A run holds the folder `spill` of the home locked (shared) while it is at work, and the kernel releases that
when it dies. So whoever gets the lock exclusively knows that what lies there belongs to nobody.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from consent.store_copies import wipe

KEY_COPY: Final = "keys.db"
"""What a backup copies the key store to before it is sealed: unlike what a run spills not encrypted."""


@contextmanager
def spill_folder(home: Path) -> Iterator[Path]:
    """Yield a fresh folder for one run and remove it, whatever happens."""
    with _locked(home, fcntl.LOCK_SH) as root:
        folder = Path(tempfile.mkdtemp(dir=root))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # encrypted under a key that is gone by now


def sweep_spill(home: Path) -> None:
    """Remove what crashed runs have left. Does nothing while a run is at work."""
    try:
        with _locked(home, fcntl.LOCK_EX | fcntl.LOCK_NB) as root:
            for left in root.iterdir():
                if left.is_dir() and not left.is_symlink():
                    if (left / KEY_COPY).is_file():
                        wipe(left / KEY_COPY)
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)
    except BlockingIOError:
        return


@contextmanager
def _locked(home: Path, how: int) -> Iterator[Path]:
    root = home / "spill"
    root.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
        yield root
    finally:
        os.close(descriptor)
