"Processes that a launcher started together: which one this is, and work that they share."

import atexit
from contextlib import nullcontext

from torch import distributed


def is_joined():
    "Whether this process works with others, which a launcher started beside it."
    return distributed.is_available() and distributed.is_initialized()


@atexit.register
def leave():
    "Leave the others before this process exits; else threads of gloo abort some of its exits."
    if is_joined() and distributed.get_backend() == "gloo": distributed.destroy_process_group()


def place():
    "(number of this process, how many there are): (0, 1) where it is alone."
    return (distributed.get_rank(), distributed.get_world_size()) if is_joined() else (0, 1)


def is_first():
    "Whether this is the process that writes and prints for all."
    return place()[0] == 0


def of_first(context):
    "A context that the first process alone enters."
    return context if is_first() else nullcontext()


def meet():
    "Wait until all processes are here."
    if is_joined(): distributed.barrier()


def gathered(value): # anything that can be pickled
    "What each process has, as a list in their order; the same on all of them."
    parts = [value]
    if is_joined():
        parts *= distributed.get_world_size()
        distributed.all_gather_object(parts, value)
    return parts


def in_turn(parts):
    "This process's share of a list; nobody begins a round before all have ended the last one."
    rank, world = place()
    for i in range(0, len(parts), world):
        yield from parts[i + rank:i + rank + 1] # in the last round there may be none
        meet()


def shared(work, parts):
    "[work(part) for part in parts], each done by one process; the same list on all of them."
    found = gathered([work(part) for part in in_turn(parts)])
    return [found[i % len(found)][i // len(found)] for i in range(len(parts))]
