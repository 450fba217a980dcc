"Rows that are computed by several processes, kept one by one, and not computed again."

import hashlib
import os
import re
import signal
import threading
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import current_process, get_context, parent_process

import torch
from tqdm import tqdm

from ..cards import environment, load_entries, save_scores
from ..disk import as_folder, hold, sweep
from ..identity import code_of
from ..kinds import whole


def row_name(row):
    "A row's arguments as a file name; with a digest where a file could not be called so."
    name = "-".join(f"{k}={v}" for k, v in row.items())
    if re.fullmatch(r"[\w=., +()\[\]-]{1,200}", name): return name
    plain = re.sub(r"[^\w=.-]", "_", name)[:150]
    return f"{plain}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:12]}"


def leave_with_parent(began):
    "In a worker: end when the process that started it has ended, for any reason, or at Ctrl-C."
    began.set()
    def watch():
        parent_process().join()
        os._exit(1)
    threading.Thread(target=watch, daemon=True).start()
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN: # in the background it is ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL) # else an interrupt only ends the row
    torch.set_num_threads(1)


def compute_row(function, # function(**row) -> {name: Score}, or a list of such rows
                row, # {argument: value}
                file, # where to keep what comes out
                about=None): # what to say of how it was made, beside the machine
    "Compute a row of a table unless its file is there; a list of (cards, what made them)."
    if not file.exists() or not is_of(row, load_entries(file)):
        cards = function(**row)
        cards = cards if isinstance(cards, list) else [cards]
        told = environment(device="cpu") | (about or {}) | {"arguments": repr(row)}
        save_scores(file, cards, told)
    return load_entries(file)


def is_of(row, entries):
    "Whether a file's entries are those of a row's arguments, as far as they tell."
    return all(about.get("arguments", repr(row)) == repr(row) for _, about in entries)


def tell_others(name, abouts, code, folder):
    "Warn of rows that were kept, and would be made otherwise today; each keeps its own record."
    now = environment(device="cpu") | {"code": code}
    keys = ("code", "torch", "python", "cpu")
    found = Counter(key for about in abouts for key in keys if about.get(key) != now[key])
    if not found: return
    told = ", ".join(f"{n} of {len(abouts)} by another {key}" for key, n in found.items())
    warnings.warn(f"{name}: rows were kept that were made earlier: {told}; each says by what; "
                  f"delete {folder} to make them again", stacklevel=4)


def run_rows(name, # of the table; finished rows are kept in out/.name/
             function, # function(**row) -> {name: Score}, importable by other processes
             rows, # list of dicts of arguments
             out, # folder
             workers: int=2, # processes of one thread each; 0: this process
             command: str=""): # how to make them again
    "All rows, computed or read: (list of cards, list of what made them)."
    folder = as_folder(out) / f".{name}"
    whole(0)(workers, "workers")
    code = code_of(function)
    jobs = [(function, row, folder / f"{row_name(row)}.json",
             {"command": command, "processes": max(1, workers), "code": code}) for row in rows]
    leave_if_imported()
    folder.mkdir(parents=True, exist_ok=True)
    with hold(folder):
        sweep(folder, alone=True)
        done = in_processes(name, jobs, workers) if workers else [
            compute_row(*job) for job in tqdm(jobs, name, unit="row", disable=None)]
    entries = [entry for part in done for entry in part]
    tell_others(name, [about for _, about in entries], code, folder)
    return [cards for cards, _ in entries], [about for _, about in entries]


def in_processes(name, jobs, workers):
    "What `compute_row` returns for each job, by several processes."
    context = get_context("spawn")
    began = context.Event()
    with ProcessPoolExecutor(workers, context, leave_with_parent, (began,)) as pool:
        futures = [pool.submit(compute_row, *job) for job in jobs]
        try: return [f.result() for f in tqdm(futures, name, unit="row", disable=None)]
        except BrokenProcessPool: raise RuntimeError(why_broken(began.is_set())) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True) # now, and not after all other rows
            raise


def leave_if_imported():
    "End a worker that runs its script from the top: the script has no main guard."
    if getattr(current_process(), "_inheriting", False): os._exit(1) # the parent says why


def why_broken(began):
    "What to do when workers have died."
    if began: return ("a worker was killed, perhaps for want of memory; finished rows are kept: "
                      "call again, with fewer workers, to go on")
    return ("the workers could not begin: put what a script does under "
            "`if __name__ == \"__main__\":`, or pass workers=0")
