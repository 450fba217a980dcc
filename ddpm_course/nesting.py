"A network around a network, as one model that `fit` trains and a folder holds."

from torch import nn

from .kinds import described
from .models import MODELS


def a_network(value, name):
    "The kind of networks to hold: a `Module`, or what `Nested.config` says of one."
    if isinstance(value, nn.Module) or isinstance(value, dict) and "model" in value: return value
    raise TypeError(f"{name}={described(value)}; expected a network, such as a UNet")


def rebuilt(net): # {"model": a registered class, "arguments": its config}
    "A network from its description; ValueError if its class is not registered."
    if net["model"] in MODELS: return MODELS[net["model"]](**net["arguments"])
    raise ValueError(f"no architecture {net['model']!r}; known: {', '.join(MODELS)}; "
                     "import the chapter that defines it")


class Nested(nn.Module):
    "Holds a raw network; its `config` rebuilds both, if the class of that network is registered."

    def __init__(self, net, # a network, or what `config` says of one
                 **own): # the other arguments of the subclass, for `config`
        super().__init__()
        self.net = rebuilt(net) if isinstance(net, dict) else net
        self.num_classes = getattr(self.net, "num_classes", None)
        name = type(self.net).__name__
        if name in MODELS:
            self.config = {"net": {"model": name, "arguments": self.net.config}, **own}

    def __getattr__(self, name):
        if name == "config":
            raise AttributeError(f"{type(self.net).__name__} is not registered, so that no folder "
                                 "can hold it; let it in with models.register")
        return super().__getattr__(name)
