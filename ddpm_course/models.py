"What a model is: labels, what its output means, and the one place that turns it into an estimate."

import threading

import torch

from .arguments import explained
from .kinds import as_labels, described
from .noising import PREDICTS, eps_from_x0, x0_from


def check_labels(y, num_classes, batch, name="y"):
    "Labels int64 (batch,) in 0..num_classes, which itself means no label; else an error."
    if y is None:
        raise ValueError(f"this model has {num_classes} classes and got no labels; "
                         f"pass y, or y = {num_classes} for no label")
    if not isinstance(y, torch.Tensor) or y.dtype != torch.int64:
        got = getattr(y, "dtype", type(y).__name__)
        raise TypeError(f"{name}: got {got}; expected int64 labels of shape ({batch},)")
    if y.shape != (batch,):
        raise ValueError(f"{name}: got shape {tuple(y.shape)}; expected one label an image, "
                         f"({batch},)")
    recorded = torch.compiler.is_compiling() # a graph that is recorded has no values yet
    if y.device.type == "cpu" and batch and not recorded: # on a GPU, looking would wait for it
        low, high = y.aminmax()
        if low < 0 or high > num_classes:
            raise ValueError(f"{name} from {low} to {high}; "
                             f"expected 0..{num_classes - 1}, or {num_classes} for no label")
    return y


def split_output(out, x_t):
    "A model's output as (prediction like x_t, the C variance channels or None), in x_t's dtype."
    C = x_t.shape[1]
    fits = out.shape[0] == len(x_t) and out.shape[2:] == x_t.shape[2:]
    if not fits or out.shape[1] not in (C, 2 * C):
        raise ValueError(f"the model returned {tuple(out.shape)} for x_t {tuple(x_t.shape)}; "
                         f"expected that shape, or {2 * C} channels with a variance")
    out = out.to(x_t.dtype)
    return (out, None) if out.shape[1] == C else out.split(C, dim=1)


INSIDE = ("module", "_orig_mod", "func", "__self__") # DataParallel, DDP; compile; partial; methods


def inner_model(model):
    "The network inside DataParallel, DDP, torch.compile, a partial or a method; None without one."
    for name in INSIDE:
        inner = getattr(model, name, None)
        if isinstance(inner, (torch.nn.Module, Wrapper)): return inner
    return None


def said_by(model, name, default=None):
    "What a model says of itself, or the network inside what was put around it."
    while model is not None:
        try: return getattr(model, name)
        except AttributeError: model = inner_model(model)
    return default


def predicts_of(model):
    "What the model's output means; a plain function counts as an eps-predictor, a Module says it."
    predicts = said_by(model, "predicts")
    if predicts in PREDICTS: return predicts
    while isinstance(model, Wrapper): model = model.model
    if predicts is None and not isinstance(model, torch.nn.Module): return "eps"
    hint = ("pass as_eps(denoiser, schedule)" if predicts == "denoised" else
            "tell what its output means, model.predicts = 'eps'")
    raise ValueError(f"model: {type(model).__name__} says predicts={predicts!r}; expected one of "
                     f"{', '.join(PREDICTS)}: {hint}")


@explained
def predict_x0(model, # model(x_t, t), labels already bound
               schedule, # NoiseSchedule
               x_t, # noisy images (B, C, H, W), float32 or better
               t: int, # one for all images, 0..T-1
               clip: float | None=1.0): # clamp x0_hat to this size; None for latents, exact models
    "(x0_hat, var_out): the clean images that the model believes in, its variance channels or None."
    out, var_out = split_output(model(x_t, torch.full((len(x_t),), t, device=x_t.device)), x_t)
    x0_hat = x0_from(schedule, x_t, t, out, predicts_of(model))
    return (x0_hat if clip is None else x0_hat.clamp(-clip, clip)), var_out


def estimate(model, schedule, x_t, t, clip=1.0): # as for `predict_x0`
    "(x0_hat, eps, var_out): also the noise, derived from the clipped x0_hat: the two always agree."
    x0_hat, var_out = predict_x0(model, schedule, x_t, t, clip)
    return x0_hat, eps_from_x0(schedule, x_t, t, x0_hat), var_out


class Wrapper:
    "A model around a model: it passes on every attribute that it does not set itself."
    def __init__(self, model): self.model = model

    def __getattr__(self, name):
        if name == "model": raise AttributeError(name) # not yet set: while copying or unpickling
        return getattr(self.model, name)

    def __call__(self, x_t, t, y=None):
        return self.model(x_t, t) if y is None else self.model(x_t, t, y)


class Seen(Wrapper):
    "A model that keeps what it was asked last, (x_t, t), and its answer."
    def __call__(self, x_t, t, y=None):
        self.asked = (x_t, t)
        self.answer = super().__call__(x_t, t, y)
        return self.answer


class Conditioned(Wrapper):
    "See `condition`."
    num_classes = None

    def __init__(self, model, y):
        super().__init__(model)
        self.y = y

    def __call__(self, x_t, t, y=None):
        if y is not None:
            raise ValueError("this model has its labels bound by condition; call it without y")
        self.y = self.y.to(x_t.device)
        return self.model(x_t, t, self.y.expand(len(x_t)) if self.y.ndim == 0 else self.y)


def check_bound(y, # labels (B,), or one int for all images
                model, # a model with num_classes
                name="y"): # what the message calls them
    "Labels as an int64 tensor (B,) or (), each a class of the model or num_classes for none."
    found = as_labels(y, name)
    if found.ndim > 1 or not found.numel():
        raise ValueError(f"{name}: got shape {tuple(found.shape)}; expected one label an image, "
                         "(B,), or one int for all")
    check_labels(found.reshape(-1).cpu(), said_by(model, "num_classes"), found.numel(), name)
    return found


def condition(model, # a model with num_classes
              y): # int64 labels (B,), or one int for all images; num_classes means no label
    "The model with its labels bound: what a sampler calls as model(x_t, t)."
    if said_by(model, "num_classes") is None:
        raise ValueError("condition: this model has no classes (num_classes is None); "
                         "use it without labels")
    return Conditioned(model, check_bound(y, model))


def device_of(model, x=None):
    "Where to sample: the device of the model's parameters; of x, or the CPU, where it has none."
    parameters = said_by(model, "parameters", tuple)
    return next((p.device for p in parameters()), torch.device("cpu") if x is None else x.device)


def a_device(value, name):
    "The kind of devices: one that torch knows, and that is there."
    try:
        device = torch.device(value)
        torch.empty(1, device=device).cpu()
    except Exception as e: # of many kinds: unknown names, no driver, no such GPU, meta
        raise ValueError(f"{name}={described(value)}: no such device here "
                         f"({str(e).splitlines()[0][:150]}); expected 'cpu', a device that is "
                         "there, or None") from None
    return device


HELD = {} # id of a network: how many are in an `inference_mode` of it that began in training mode
LOCK = threading.Lock()


def keep_evaluating(model):
    "Put a network into evaluation mode until it is let go as often; None where there is no need."
    network = getattr(said_by(model, "eval"), "__self__", None)
    with LOCK: # two threads may sample from one network: the last one gives it its mode back
        if network is None or not (network.training or id(network) in HELD): return None
        HELD[id(network)] = HELD.get(id(network), 0) + 1
        if network.training: network.eval()
    return network


def let_go(network):
    "Take back one `keep_evaluating`."
    with LOCK:
        HELD[id(network)] -= 1
        if HELD[id(network)]: return
        del HELD[id(network)]
        network.train()


class inference_mode:
    """`with inference_mode(model):` no gradients, and the model in evaluation mode.

    Never around a `yield`: the caller would run under it too. What is so already stays untouched:
    at every step of a sampler, setting it would cost more than the sampler's arithmetic.
    """
    def __init__(self, model): self.model = model

    def __enter__(self):
        self.grad = torch.is_grad_enabled()
        training = HELD or said_by(self.model, "training", False)
        self.held = keep_evaluating(self.model) if training else None
        if self.grad: torch.set_grad_enabled(False)

    def __exit__(self, *error):
        if self.grad: torch.set_grad_enabled(True)
        if self.held is not None: let_go(self.held)


MODELS = {}


def register(cls):
    "Let model folders hold models of this class, whose `config` rebuilds them: `cls(**config)`."
    MODELS[cls.__name__] = cls
    return cls
