"What makes a run, or a row of a table, this one and no other: code, settings and examples."

import dis
import hashlib
import json
import random
import sys
import types
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .noising import NoiseSchedule
from .randomness import BatchRandom, untouched_random

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LIBRARIES = {"ddpm_course", "torch", "torchvision", "numpy", "PIL", "builtins"}


def digest_of(*parts):
    "16 hex digits of SHA-256 over bytes and texts."
    found = hashlib.sha256()
    for part in parts: found.update(part if isinstance(part, bytes) else str(part).encode())
    return found.hexdigest()[:16]


def digest_of_array(x):
    "A tensor or array: dtype, shape, and its numbers; of a very large one, 64 rows of them."
    if isinstance(x, np.ndarray): x = torch.from_numpy(x) if x.dtype.kind in "biuf" else x.tolist()
    if not isinstance(x, torch.Tensor): return digest_of(x)
    x = x.detach()
    if x.ndim and x.nbytes > 2**24: x = x[torch.linspace(0, len(x) - 1, 64).long()]
    return digest_of(x.dtype, tuple(x.shape), x.cpu().contiguous().flatten().view(torch.uint8)
                     .numpy().tobytes())


def digest_of_code(code):
    "A code object without its names for files and lines."
    consts = [digest_of_code(c) if isinstance(c, types.CodeType)
              else sorted(map(repr, c)) if isinstance(c, frozenset) else repr(c)
              for c in code.co_consts]
    return digest_of(code.co_code, code.co_names, code.co_varnames, code.co_freevars, consts)


def names_in(code, operations):
    "Names on which code does some operations, in what it defines too."
    found = {i.argval for i in dis.get_instructions(code) if i.opname in operations}
    for const in code.co_consts:
        if isinstance(const, types.CodeType): found |= names_in(const, operations)
    return found


def settings_of(function):
    """{name: value} of the globals and closure that a function reads, and does not set.

    Lists, dicts and sets there are left out: they are where functions keep counts and histories.
    """
    code = function.__code__
    cells = zip(code.co_freevars, function.__closure__ or ())
    found = {name: cell.cell_contents for name, cell in cells if cell != types.CellType()}
    known = function.__globals__
    found |= {k: known[k] for k in sorted(names_in(code, {"LOAD_GLOBAL"})) if k in known}
    state = names_in(code, {"STORE_GLOBAL", "STORE_DEREF"})
    return {name: value for name, value in found.items()
            if name not in state and not isinstance(value, (list, dict, set))}


class Describer:
    "Collects {path: what stands there} of a function or object and all that it reaches."
    def __init__(self, libraries=LIBRARIES, # whose code is known by its name
                 skip=()): # objects that are no part of it, such as the network in training
        self.libraries = libraries | sys.stdlib_module_names
        self.found = {}
        self.seen = {id(value) for value in skip}
        self.kept = [] # ids stay theirs

    def is_known(self, value):
        module = getattr(value, "__module__", None)
        if module is None: return not isinstance(value, types.FunctionType)
        return module.split(".")[0] in self.libraries

    def add(self, path, value):
        "Describe a value, once, under a path such as \"loss.weight\"."
        if value is None or isinstance(value, (bool, int, float, str)):
            self.found[path] = value if len(str(value)) < 40 else digest_of(value)
        elif id(value) not in self.seen and len(self.found) < 2000:
            self.seen.add(id(value))
            self.kept.append(value)
            for kinds, describe in DESCRIBED_BY.items():
                if isinstance(value, kinds): return describe(self, path, value)
            _object(self, path, value)

    def add_all(self, path, values):
        for name, value in values: self.add(f"{path}.{name}", value)


def _array(d, path, value): d.found[path] = digest_of_array(value)
def _text(d, path, value): d.found[path] = str(value)
def _module(d, path, value): pass # an imported module is known by its name
def _schedule(d, path, value): d.found[path] = digest_of(value.betas.tolist())


def _list(d, path, value): d.add_all(path, enumerate(value))
def _set(d, path, value): _list(d, path, sorted(value, key=repr))
def _dict(d, path, value): d.add_all(path, value.items())


def _partial(d, path, value):
    d.add(path, value.func)
    d.add_all(path, [*enumerate(value.args), *value.keywords.items()])


def _method(d, path, value):
    d.add(path, value.__func__)
    d.add(f"{path}.self", value.__self__)


def _function(d, path, value):
    d.found[path] = value.__qualname__
    if d.is_known(value): return
    code = value.__code__
    d.found[path] = f"{value.__name__} {digest_of_code(code)}"
    d.add_all(path, enumerate(value.__defaults__ or ()))
    d.add_all(path, (value.__kwdefaults__ or {}).items())
    d.add_all(path, settings_of(value).items())


def _class(d, path, value):
    d.found[path] = value.__qualname__
    for cls in value.__mro__:
        if d.is_known(cls): continue
        for name, part in vars(cls).items():
            part = getattr(part, "__func__", getattr(part, "fget", part))
            if isinstance(part, types.FunctionType): d.add(f"{path}.{name}", part)


def _network(d, path, value):
    _class(d, path, type(value))
    parts = (f"{k} {digest_of_array(v)}" for k, v in value.state_dict().items())
    d.found[f"{path}.weights"] = digest_of(*parts)


def _object(d, path, value):
    if hasattr(value, "__wrapped__"): d.add(path, value.__wrapped__) # cached or decorated
    _class(d, path, type(value))
    if hasattr(value, "__dict__"): _dict(d, path, vars(value))


DESCRIBED_BY = {
    (torch.Tensor, np.ndarray): _array,
    np.generic: lambda d, path, value: d.add(path, value.item()),
    (Path, torch.dtype, bytes, complex): _text,
    torch.device: lambda d, path, value: d.add(path, value.type), # ranks have each their own
    types.ModuleType: _module, NoiseSchedule: _schedule, (list, tuple): _list,
    (set, frozenset): _set, dict: _dict, partial: _partial,
    types.MethodType: _method, types.FunctionType: _function, type: _class,
    nn.Module: _network}


# ---- examples ----

@contextmanager
def seeded(seed):
    "All global generators of the CPU follow a seed; afterwards they go on where they were."
    with untouched_random():
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)
        yield


def example_of(data, i):
    "A digest of example i; what cannot be read is an example, too."
    index = torch.tensor([i])
    try:
        pixels = getattr(data, "pixels", None)
        batch = [pixels[index.to(pixels.device)]] if pixels is not None else \
            data.batch(index, BatchRandom(0, 0, 1))
        return digest_of(*map(digest_of_array, batch))[:8]
    except Exception: return "unreadable" # training will say why


def examples_of(data):
    "Digests of up to 64 examples of a data set, and of its labels, as JSON."
    some = torch.linspace(0, len(data) - 1, min(64, len(data))).long().tolist()
    labels = getattr(data, "labels", None)
    found = {"labels": None if labels is None else digest_of_array(labels)}
    files = getattr(getattr(data, "pixels", None), "files", None)
    if files is not None: # names and sizes: decoders may differ
        told = [Path(files[i]) for i in some]
        return found | {"files": [digest_of("/".join(p.parts[-2:]), p.stat().st_size)[:8]
                                  for p in told if p.exists()]}
    def look():
        with seeded(0): return [example_of(data, i) for i in some]
    first = look()
    same = hasattr(data, "pixels") or first == look()
    return found | {"seen": first if same else "they differ each time"}


def identity_of(model, data, loss):
    "What names cannot tell of a run: {\"python\", \"code\", \"pictures\"}, as JSON."
    describer = Describer(skip=[model])
    describer.add("loss", loss)
    told = {"python": PYTHON, "code": describer.found, "pictures": examples_of(data)}
    return json.loads(json.dumps(told))


def code_of(function):
    "A digest of a function and of all that it reaches in this package."
    describer = Describer(LIBRARIES - {"ddpm_course"})
    describer.add("row", function)
    return digest_of(PYTHON, json.dumps(describer.found, sort_keys=True))


# ---- the configuration of a run ----

def _name(value): return getattr(value, "__name__", type(value).__name__)


def _as_json(value):
    "What JSON cannot hold, as something that it can: a digest of betas, a dataclass, a name."
    if isinstance(value, NoiseSchedule): return digest_of(value.betas.tolist())
    if isinstance(value, np.generic): return value.item()
    return {_name(value): vars(value)} if is_dataclass(value) else _name(value)


def config_of(accelerator, model, data, loss, recipe):
    "All that makes a run this one, as it will come back from a checkpoint."
    config = asdict(recipe) | {
        "precision": accelerator.mixed_precision, "model": type(model).__name__,
        "arguments": getattr(model, "config", None), "loss": _name(loss),
        "loss_fields": getattr(loss, "__dict__", {}), "examples": len(data),
        "shape": getattr(data, "shape", None), "flip": getattr(data, "flip", False)}
    return json.loads(json.dumps(config, default=_as_json))


# ---- the same? ----

def _code_changes(was, now):
    "The parts of the code that changed, by path."
    return [f"{k}: was {was.get(k)}, is {now.get(k)}"
            for k in was | now if was.get(k) != now.get(k)][:3]


def _picture_changes(was, now):
    "How many of the examples changed; a file in ten may have been mended or replaced."
    found = ["the labels differ"] * (was.get("labels") != now.get("labels"))
    for key, share in (("files", 0.1), ("seen", 0.0)):
        pair = (was.get(key), now.get(key))
        if not all(isinstance(v, list) for v in pair): continue
        differ = sum(a != b for a, b in zip(*pair)) + abs(len(pair[0]) - len(pair[1]))
        if differ > max(share > 0, share * len(pair[0])):
            found.append(f"{differ} of {len(pair[0])} pictures that were looked at differ")
    return found


def identity_changes(was, now):
    "What differs between two identities, as far as the older one tells, as a list of texts."
    found = []
    if "code" in was and was.get("python") == now.get("python"): # each Python has its own codes
        found += _code_changes(was["code"], now["code"])
    if "pictures" in was: found += _picture_changes(was["pictures"], now["pictures"])
    return found


def check_same_run(out, was, now):
    "ValueError that names what changed between the run in a folder and the one at hand."
    new = {"python", "code", "pictures", "clip", "start"} # what older runs do not tell
    names = [k for k in was | now if k not in new or k in ("clip", "start") and k in was]
    changed = [f"{k}: was {was.get(k)}, is {now.get(k)}"
               for k in names if was.get(k) != now.get(k)] + identity_changes(was, now)
    if not changed: return
    error = ValueError(f"{out} holds a run of another configuration ({'; '.join(changed)}); "
                       "resume with the old one, or choose another folder")
    error.add_note("A new run can begin with the weights of this one: "
                   f"fit(..., start={str(out)!r}, out=ANOTHER)")
    raise error
