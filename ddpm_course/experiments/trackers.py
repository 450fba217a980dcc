"What a run reports to TensorBoard or Weights & Biases, through accelerate."

import importlib.util
import json

TRACKERS = ("tensorboard", "wandb", "none")


def check_tracker(name):
    "ValueError for an unknown tracker, ModuleNotFoundError for one that is not installed."
    if name not in TRACKERS:
        raise ValueError(f"tracker={name!r}; expected {', '.join(TRACKERS[:-1])} or none")
    if name != "none" and importlib.util.find_spec(name) is None:
        raise ModuleNotFoundError(f"tracker={name!r} needs {name}, which is not installed: pip "
                                  f"install {name}; or pass --tracker none", name=name)


class Tracking:
    "A callback of `fit` that tells a tracker of accelerate loss, gradient norm and images."
    def __init__(self, name, out, settings, every=10): # steps
        check_tracker(name)
        self.made = None
        self.name = name
        self.out = out
        self.settings = settings
        self.every = every

    def start(self):
        "Begin at the first step: accelerate's state is there only then."
        from accelerate import tracking
        kind = tracking.LOGGER_TYPE_TO_CLASS[self.name]
        place = [str(self.out)] if kind.requires_logging_directory else []
        self.made = kind("tracker", *place)
        self.made.start()
        self.made.store_init_configuration({"settings": json.dumps(self.settings)})

    def __call__(self, run):
        if not run.is_main or run.step % self.every or not run.losses: return
        if self.made is None: self.start()
        self.made.log({"loss": run.losses[-1], "gradient norm": run.norms[-1],
                       "images": run.step * run.recipe.batch_size}, step=run.step)

    def finish(self):
        "Let the tracker write what it still holds."
        if self.made is not None: self.made.finish()


def tracking(name, out, settings):
    "The callbacks of a tracker: none for \"none\"."
    check_tracker(name)
    return [] if name == "none" else [Tracking(name, out, settings)]
