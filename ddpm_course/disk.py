"Files and folders that appear whole or not at all, and folders that one process has for itself."

import errno
import json
import os
import platform
import re
import secrets
import shutil
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

try: import fcntl
except ImportError: fcntl = None # Windows: there, nobody is kept out

UNABLE = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EBADF,
          errno.EPERM, errno.EACCES, errno.ENOTTY} # what a file system says that cannot do it
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def as_folder(path, name="out"):
    "A path as a `Path`; TypeError or ValueError where it names no folder that can be used."
    if not isinstance(path, (str, Path)):
        raise TypeError(f"{name}: got {type(path).__name__}; expected the path of a folder")
    text = str(path)
    if not text.strip():
        raise ValueError(f"{name}={text!r} names no folder; give it a name, such as 'runs/first'")
    try: text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name}={text!r} is not UTF-8, which safetensors needs; "
                         "rename the folder, or choose another one") from None
    try: path = Path(text).expanduser()
    except RuntimeError as e: raise ValueError(f"{name}={text!r}: {e}; give a full path") from e
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{name}: {text} is a file; expected a folder")
    return path


def as_file(path, name="out"):
    "The same for a file to be written; the folders above it are made."
    text = str(path)
    if not text.strip() or Path(text).is_dir():
        raise IsADirectoryError(errno.EISDIR, f"{name}={text!r} is a folder, or no name; expected "
                                "the name of a file")
    folder = as_folder(str(Path(text).parent), name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / Path(text).name


ADVICE = { # by the number of a system's error
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS),
                    "expected a path that you may use; choose another one, or change who may"),
    errno.ENOENT: "expected something that is there; look for a slip in the path",
    errno.ENOTDIR: "expected a folder, and a part of the path is a file; choose another one",
    errno.EISDIR: "expected a file; name one in that folder",
    errno.ENAMETOOLONG: "expected a shorter name",
    **dict.fromkeys(FULL, "make room and start again; what was there before is as it was")}


def in_words(error):
    "What an error says; one in the system's words gets its path first, and what to do last."
    words = getattr(error, "strerror", None)
    if words is None: return str(error)
    path = "" if error.filename is None else f"{error.filename}: "
    if words != os.strerror(error.errno): return f"{path}{words}"
    return f"{path}{words}; {ADVICE.get(error.errno, 'choose another path')}"


def as_size(n):
    "A number of bytes for people, two digits or more."
    for unit in ("bytes", "kB", "MB", "GB"):
        if n < 1000 or unit == "GB": break
        n /= 1000
    return f"{n:,.0f} {unit}" if n >= 10 or unit == "bytes" else f"{n:.1f} {unit}"


# ---- written, then named ----

def sync(path):
    "Wait until a file or folder is on the disk, as far as its file system can tell."
    if os.name == "nt": return # Windows syncs no folders
    try:
        fd = os.open(path, os.O_RDONLY)
        try: os.fsync(fd)
        finally: os.close(fd)
    except OSError as e:
        if e.errno not in UNABLE: raise # SMB and shared folders of virtual machines sync none


def settle(path):
    "A file that is finished, on the disk, and readable by whom its folder can be read by."
    mode = path.stat().st_mode
    shown = mode | path.parent.stat().st_mode & 0o444 # safetensors lets its owner alone read it
    if path.is_file() and mode != shown:
        with suppress(OSError): path.chmod(shown) # some shared folders change no modes
    sync(path)


TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<host>\w*)-(?P<pid>\d+)-[0-9a-f]{8}\.(new|old)")
OLDER = re.compile(r"\.(step-\d+|model)\.new|\.(latents-\d+|labels)\.npy\.\d+|\.manifest\.\d+\.new"
                   r"|\..+\.json\.\d+\.new") # names that earlier versions gave
HOST = re.sub(r"\W", "_", platform.node())


def beside(path, ending="new"):
    "A hidden name next to `path` that no other process and no other thread uses."
    path = Path(path)
    name = f".{path.name[:100]}.{HOST}-{os.getpid()}-{secrets.token_hex(4)}.{ending}"
    return path.with_name(name)


def is_alive(pid):
    "Whether a process of this machine still runs."
    if os.name == "nt": return True # asking would end it
    try: os.kill(pid, 0)
    except ProcessLookupError: return False
    except (PermissionError, OverflowError): pass
    return True


def remove(path):
    "Delete a file or folder; what cannot be deleted is left, and tried again by a later `sweep`."
    path = Path(path)
    if path.is_dir() and not path.is_symlink(): shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError): path.unlink()


def discard(folder):
    "Delete a folder, which first loses its name: half a folder never has it."
    old = beside(folder, "old")
    Path(folder).rename(old)
    remove(old)


def sweep(folder, name=None, alone=False):
    """Delete what writers that were killed left in a folder, under a name or any.

    `alone`: this process holds the folder, so nobody else can be writing there.
    """
    for path in [*Path(folder).glob(".*")]:
        found = TEMPORARY.fullmatch(path.name)
        if found and name in (None, found["name"]):
            if alone or found["host"] == HOST and not is_alive(int(found["pid"])): remove(path)
        elif alone and OLDER.fullmatch(path.name): remove(path)


@contextmanager
def writing(path, new): # `new`: its name until it is whole
    "An error of a full disk says what was being written, and what to do; others give its name."
    try: yield
    except (OSError, SafetensorError) as e:
        told = re.search(r"os error (\d+)", str(e)) # safetensors gives the system's error as text
        number = int(told[1]) if told else getattr(e, "errno", None)
        if isinstance(e, OSError) and number not in FULL:
            if str(e.filename) != str(new): raise
            raise OSError(number, e.strerror, str(path)) from e
        why = "there is no space left" if number in FULL else str(e)
        raise OSError(number or errno.EIO, f"{path} could not be written: {why}; nothing of it was "
                      "kept, and what was there before is as it was; make room and start again"
                      ) from e


def check_whole(folder):
    "OSError where a safetensors file in a folder is shorter or longer than it says."
    for file in Path(folder).glob("*.safetensors"):
        with open(file, "rb") as f:
            n = int.from_bytes(f.read(8), "little")
            header = json.loads(f.read(n))
        ends = [v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"]
        if file.stat().st_size != 8 + n + max(ends, default=0):
            raise OSError(errno.ENOSPC, f"{file} was cut short")


@contextmanager
def atomic_file(file):
    "A path to write to that takes the name `file` when it is on disk, or never."
    new = beside(file)
    try:
        with writing(file, new):
            yield new
            settle(new)
            new.replace(file)
    except BaseException:
        remove(new)
        raise


def write_whole(file, text):
    "Write a text file that appears whole or not at all."
    with atomic_file(file) as new: new.write_text(text, encoding="utf-8")


def check_unused(folder):
    "FileExistsError unless a folder is empty, or not there."
    if folder.is_dir() and not any(folder.iterdir()) or not os.path.lexists(folder): return
    what = "exists and is not empty" if folder.is_dir() else "is a file"
    raise FileExistsError(f"{folder} {what}; delete it or choose another folder")


@contextmanager
def atomic_folder(folder):
    "A folder to write in that takes the name `folder` when all its files are on disk, or never."
    folder = Path(folder)
    check_unused(folder)
    new = beside(folder)
    with writing(folder, new): new.mkdir(parents=True)
    sweep(folder.parent, folder.name)
    try:
        with writing(folder, new):
            yield new
            check_whole(new)
            for path in (*new.rglob("*"), new): settle(path)
        check_unused(folder) # another process may have been faster
        if folder.exists(): folder.rmdir() # it is empty
        new.rename(folder)
    except BaseException:
        remove(new)
        raise
    sync(folder.parent)


# ---- one process at a time ----

def _is_named(fd, file):
    "Whether `file` is still the name of an open file: its last owner may have taken it away."
    try: return os.path.samestat(os.fstat(fd), os.stat(file))
    except FileNotFoundError: return False


def _locked(file):
    "An open file that this process alone has locked; BlockingIOError if another one has it."
    fd = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if fcntl: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_named(fd, file): return fd
        raise BlockingIOError(errno.EAGAIN, f"{file} was just taken away")
    except OSError as e:
        if not isinstance(e, BlockingIOError) and e.errno in UNABLE: return fd # has no locks
        os.close(fd)
        raise


def holder_of(file):
    "Who has locked a file, as text."
    try:
        who = json.loads(Path(file).read_text(encoding="utf-8"))
        return f"process {who['pid']} on {who['host']}, since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError): return "another process"


def _wait_for(file, wait):
    "`_locked`, after the process that has the file has left it; OSError if that takes too long."
    began = time.monotonic()
    said = False
    while True:
        try: return _locked(file)
        except BlockingIOError: waited = time.monotonic() - began
        if waited >= wait:
            raise OSError(errno.EBUSY, f"{file.parent} is in use by {holder_of(file)}; wait until "
                          "it has ended, or choose another folder")
        if waited > 2 and not said:
            print(f"waiting for {holder_of(file)}, which has {file.parent}", file=sys.stderr)
            said = True
        time.sleep(0.05)


@contextmanager
def hold(folder, name=".lock", wait=0.5): # seconds; a lock that is being left is soon free
    "Have a folder for this process alone while the block runs; it ends with the process, too."
    file = Path(folder) / name
    fd = _wait_for(file, wait)
    try:
        who = {"pid": os.getpid(), "host": platform.node(), "since": time.strftime("%F %T")}
        os.ftruncate(fd, 0)
        os.write(fd, json.dumps(who).encode())
        yield
    finally:
        file.unlink(missing_ok=True) # before it is free: who opened it meanwhile will see
        os.close(fd)
