"Rows that are computed by several processes, kept one by one, and not computed again."

import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from pathlib import Path

import torch
from tqdm import tqdm

from ..cards import environment, load_entries, save_scores


def row_name(row):
    "A row's arguments as a file name."
    return "-".join(f"{k}={v}" for k, v in row.items())


def leave_with_parent():
    "In a worker: end when the process that started it has ended, for any reason, or at Ctrl-C."
    def watch():
        parent_process().join()
        os._exit(1)
    threading.Thread(target=watch, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_DFL) # else an interrupt only ends the row
    torch.set_num_threads(1)


def compute_row(function, # function(**row) -> {name: Score}, or a list of such rows
                row, # {argument: value}
                file, # where to keep what comes out
                about=None): # what to say of how it was made, beside the machine
    "Compute a row of a table unless its file is there; a list of (cards, what made them)."
    if not file.exists():
        cards = function(**row)
        cards = cards if isinstance(cards, list) else [cards]
        save_scores(file, cards, environment(device="cpu") | (about or {}))
    return load_entries(file)


def run_rows(name, # of the table; finished rows are kept in out/.name/
             function, # function(**row) -> {name: Score}, importable by other processes
             rows, # list of dicts of arguments
             out, # folder
             workers: int=2, # processes of one thread each; 0: this process
             command: str=""): # how to make them again
    "All rows, computed or read: (list of cards, list of what made them)."
    folder = Path(out) / f".{name}"
    jobs = [(function, row, folder / f"{row_name(row)}.json",
             {"command": command, "processes": max(1, workers)}) for row in rows]
    done = in_processes(name, jobs, workers) if workers else [
        compute_row(*job) for job in tqdm(jobs, name, unit="row", disable=None)]
    entries = [entry for part in done for entry in part]
    return [cards for cards, _ in entries], [about for _, about in entries]


def in_processes(name, jobs, workers):
    "What `compute_row` returns for each job, by several processes."
    with ProcessPoolExecutor(workers, get_context("spawn"), leave_with_parent) as pool:
        futures = [pool.submit(compute_row, *job) for job in jobs]
        try: return [f.result() for f in tqdm(futures, name, unit="row", disable=None)]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True) # now, and not after all other rows
            raise
