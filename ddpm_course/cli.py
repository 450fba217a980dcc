"The command `ddpm-course`: it parses, and nothing else."

import sys
from pathlib import Path
from fastcore.script import anno_parser

from .disk import as_folder
from .experiments.coverage import describe, run_coverage
from .experiments.demo import QUICK_STEPS, run_demo
from .experiments.registry import TABLES, run_table
from .experiments.shipping import recorded, retrain
from .experiments.tables import format_table
from .training import DIGITS_FIT


def demo(out:str="runs/demo", # folder for the results; a demo stopped there goes on
         seed:int=0, # of training and sampling: the same seed gives the same images
         train_steps:int=DIGITS_FIT["steps"], # optimizer steps
         device:str=None, # "cpu", or None for an accelerator where there is one
         quick:bool=False): # a few seconds, to see that everything works; the digits will be noise
    "Train a class-conditional U-Net on scikit-learn's digits, sample with DDPM and DDIM, measure."
    if quick: print(run_demo(out, seed, min(train_steps, QUICK_STEPS), device, "quick"))
    else: print(run_demo(out, seed, train_steps, device, "whole"))


def table(name:str, # one of those named above
          size:str="digits", # "digits", or "smoke" to see in seconds that it runs
          out:str="runs/tables", # folder for NAME.json, .csv, .png (of smoke: NAME-smoke...), rows
          workers:int=2): # processes of one thread each; 0: this process alone
    """Make a table of the course: ddim-steps, dynamics, schedules, latent, guidance, advanced,
    attention, edm, edm-samplers, question-2 or question-3; a run that was stopped goes on."""
    print(format_table(run_table(name, out, size, workers), TABLES[name].columns))


def train(name:str, # digits, classifier, vae, latent or text
          out:str=None, # run folder; runs/NAME-SEED if None
          seed:int=0): # of training
    "Train a network that comes with the package again, and score it beside the one on record."
    out = as_folder(f"runs/{name}-{seed}" if out is None else out)
    found = retrain(name, out, seed)["scores"]
    for key, value in found.items():
        print(f"{key:10}{value:9.4f}, shipped {recorded(name, key):9.4f}")
    print(f"The network is in {out / 'model'}")


def coverage(out:str="runs/coverage.json", # a file that is there is gone on with
             repetitions:int=2000, # of each cell
             only:str=""): # kinds of intervals that hold this text; all if empty
    "Simulate how often each kind of interval holds the truth; a run that was stopped goes on."
    print(describe(run_coverage(Path(out), repetitions, only)))


COMMANDS = {"demo": demo, "table": table, "train": train, "coverage": coverage}


def main(argv=None):
    "Entry point: `ddpm-course COMMAND [options]`."
    name, *options = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name not in COMMANDS:
        print("usage: ddpm-course COMMAND [options]; ddpm-course COMMAND --help tells more")
        print("\ncommands:")
        for command, function in COMMANDS.items(): print(f"  {command:10}{function.__doc__}")
        sys.exit(0 if name in ("-h", "--help") else f"ddpm-course: no command {name!r}")
    parser = anno_parser(COMMANDS[name], prog=f"ddpm-course {name}")
    arguments = vars(parser.parse_args(options))
    try: COMMANDS[name](**{k: v for k, v in arguments.items() if k not in ("pdb", "xtra")})
    except (OSError, ValueError, RuntimeError) as e:
        notes = "".join(f"\n{note}" for note in getattr(e, "__notes__", ()))
        sys.exit(f"ddpm-course {name}: {e}{notes}")
    except KeyboardInterrupt:
        print(f"ddpm-course {name}: interrupted; the same command goes on", file=sys.stderr)
        sys.exit(130)
