"Folders that appear whole or not at all."

import os
import shutil
from contextlib import contextmanager
from pathlib import Path


def sync(path):
    "Wait until a file or folder is on the disk, not just in the system's memory."
    if os.name == "nt": return # Windows syncs no folders
    fd = os.open(path, os.O_RDONLY)
    try: os.fsync(fd)
    finally: os.close(fd)


@contextmanager
def atomic_folder(folder):
    "A folder to write in that takes the name `folder` when all its files are on disk, or never."
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} exists and is not empty; "
                              "delete it or choose another folder")
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True) # left by a process that was killed here
    new.mkdir(parents=True)
    try:
        yield new
        for path in (*new.rglob("*"), new): sync(path)
        if folder.exists(): folder.rmdir() # it is empty
        new.rename(folder)
        sync(folder.parent)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
