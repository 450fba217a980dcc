"Where and how precisely a network is trained: accelerate around it, and nothing left of it."

import threading
import warnings
from contextlib import contextmanager
from functools import wraps

import accelerate
import torch

from .models import Wrapper
from .randomness import untouched_random
from .sets import a_precision, check_data, fit_arguments


def auto_precision(device):
    "\"bf16\" where the device computes it fast: Ampere, CPUs with AMX or AVX512-BF16; else \"no\"."
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "no"
    fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return "bf16" if device.type == "cpu" and fast else "no"


def image_layout(device, precision): # precision: "bf16" or "no"
    """How images lie in memory while training: channels last, as convolutions like it.

    Only on a CPU in bfloat16 they don't: there PyTorch's group normalization takes ten times as
    long with channels last."""
    slow = device.type == "cpu" and precision == "bf16"
    return torch.contiguous_format if slow else torch.channels_last


def as_device(device):
    "A `torch.device`, or None for any; ValueError where it names none."
    try: return None if device is None else torch.device(device)
    except (RuntimeError, TypeError, ValueError):
        raise ValueError(f"device={device!r} names no device; expected None, 'cpu' or "
                         "'cuda'") from None


def check_device(device, here):
    "ValueError unless `device`, as the caller gave it, is where accelerate would train."
    asked = as_device(here if device is None else device)
    if asked.type != here.type or asked.index not in (None, here.index or 0):
        raise ValueError(f"device={device}, but training would run on {here}; use None or 'cpu', "
                         "and choose a GPU with CUDA_VISIBLE_DEVICES")


ONE_FIT = threading.RLock()


def one_at_a_time(function):
    "Calls in other threads wait: accelerate's state and the global generators are of a process."
    states = (accelerate.state.AcceleratorState, accelerate.state.PartialState,
              accelerate.state.GradientState)
    @wraps(function)
    def call(*args, **kwargs):
        with ONE_FIT:
            kept = [dict(state._shared_state) for state in states]
            try: return function(*args, **kwargs)
            finally: # a call within another one leaves its state as it was
                for state, was in zip(states, kept):
                    if was: state._shared_state.update(was)
    return call


def fit_door(f):
    "Arguments are looked at; then calls in other threads wait for their turn."
    return fit_arguments(one_at_a_time(f))


def make_accelerator(precision="auto", # "bf16", "no" (float32), or "auto"
                     accumulate=1, # passes that a batch is split into
                     device=None, # "cpu" to stay off an accelerator that is there
                     compile=False): # True, or the name of a torch.compile backend
    "accelerate's `Accelerator` with its precision resolved; each call may ask for another one."
    a_precision(precision, "precision")
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True) # one a process
    as_device(device)
    here = accelerate.PartialState(cpu=str(device).startswith("cpu")).device
    check_device(device, here)
    return accelerate.Accelerator(
        mixed_precision=auto_precision(here) if precision == "auto" else precision,
        cpu=here.type == "cpu", gradient_accumulation_steps=accumulate,
        dynamo_backend="inductor" if compile is True else compile or "no")


class Accelerated(Wrapper):
    "A network with autocast, DDP and torch.compile around it (`wrapped`), and its attributes."
    def __call__(self, *args, **kwargs): return self.wrapped(*args, **kwargs)


@contextmanager
def accelerated(accelerator, model, optimizer):
    "(network, optimizer) as accelerate trains them; afterwards the model is its bare self again."
    own = set(vars(model))
    devices = [accelerator.device] if accelerator.device.type == "cuda" else []
    net = Accelerated(model)
    net.wrapped, optimizer = accelerator.prepare(model, optimizer)
    try:
        with torch.enable_grad(), untouched_random(devices), warnings.catch_warnings():
            # of 1x1 convolutions, whose two layouts are one
            warnings.filterwarnings("ignore", "Grad strides do not match")
            yield net, optimizer
    finally:
        for name in set(vars(model)) - own: delattr(model, name) # a wrapped forward and a mark
        model.eval()


class DatasetAdapter:
    "A torch map-style dataset of pairs (x, y), as `fit` reads data."
    def __init__(self, dataset, device="cpu"):
        self.dataset = dataset
        self.device = device
        with untouched_random(): self.shape = tuple(dataset[0][0].shape)

    def __len__(self): return len(self.dataset)
    def to(self, device): return DatasetAdapter(self.dataset, device)

    def batch(self, index, rng=None):
        "Images (B, C, H, W) and labels (B,) at `index`."
        rows = torch.as_tensor(index).view(-1).tolist() # of an int: a batch of one
        pairs = torch.utils.data.default_collate([self.dataset[i] for i in rows])
        return [part.to(self.device) if hasattr(part, "to") else part for part in pairs]


def as_batches(data, model, loss):
    "A data set with batch(index, rng): itself, or a torch dataset adapted, fit to be trained on."
    with untouched_random(): check_data(data, model, loss) # it may draw a first example
    return data if hasattr(data, "batch") else DatasetAdapter(data)
