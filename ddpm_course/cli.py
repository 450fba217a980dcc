"The command `ddpm-course`: it parses, and nothing else."

import io
import os
import shlex
import sys
from contextlib import redirect_stdout
from typing import Annotated

from fastcore.script import anno_parser

from .disk import as_file, in_words
from .experiments import commands
from .experiments.coverage import describe, run_coverage
from .experiments.demo import DEMO_STEPS, QUICK_STEPS, run_demo
from .experiments.exchange import export_run, import_source, push_run
from .experiments.registry import EXPERIMENTS, TABLES
from .experiments.shipping import TRAIN
from .experiments.squares import save_squares
from .grading import grades_text
from .memory import keep_freed

Several = Annotated[str, {"action": "append", "metavar": "FIELD=VALUE"}]


def demo(out:str="runs/demo", # folder for the results; a demo stopped there goes on
         seed:int=0, # of training and sampling: the same seed gives the same images
         train_steps:int=DEMO_STEPS, # optimizer steps
         device:str=None, # "cpu", or None for an accelerator where there is one
         quick:bool=False): # a few seconds, to see that everything works; the digits will be noise
    """Train a class-conditional U-Net on scikit-learn's digits, sample with DDPM and DDIM, measure.
    Example: ddpm-course demo --quick"""
    steps, size = (min(train_steps, QUICK_STEPS), "quick") if quick else (train_steps, "whole")
    print(run_demo(out, seed, steps, device, size))


def list_(name:str=None, # of one experiment; all if None
          size:str="full", # "smoke", "digits" or "full"
          trial:bool=False, # train 20 steps of each here, and say how long the whole would take
          device:str=None): # for --trial: "cpu", or None for an accelerator where there is one
    """Show the experiments, and what each costs before it is started.
    Example: ddpm-course list --name cifar10 --trial"""
    print(commands.list_experiments(size, name, trial, device))


def train(name:str, # an experiment (list), or digits, classifier, vae, latent, text or dit
          size:str="full", # "smoke" (seconds), "digits" (minutes on a CPU) or "full" (a GPU)
          variant:str=None, # of the experiment; the first if None
          data:str=None, # folder of the data set; the digits need none
          out:str=None, # run folder; one named after the experiment in runs/ if None
          seed:int=0, # of training
          device:str=None, # "cpu", or None for an accelerator where there is one
          resume:bool=False, # go on with the run in --out
          set:Several=None, # a field of the recipe, such as lr=1e-4; may be given several times
          init:str=None, # another run of the same network: its weights are the first
          tracker:str="none"): # "tensorboard", "wandb" or "none"
    """Train a network of an experiment, or one that comes with the package again.
    Example: ddpm-course train cifar10 --data ~/cifar10 --out runs/first --set batch_size=256"""
    print(commands.train_named(name, size, variant, data, out, seed, device, resume, set, tracker,
                               init))


def sample(run:str, # folder that train left
           sampler:str=None, # "DDIM" or "DDPM"; the first of the experiment if None
           steps:int=None, # of the sampler
           guidance:float=None, # scale s: 1 is the model itself
           images:int=64, # how many
           chunk:int=100, # images at a time, which processes share; other sizes round otherwise
           seed:int=0, # image i of a seed is the same in any batch
           device:str=None): # "cpu", or None for an accelerator where there is one
    """Draw samples from a trained run; what is there is not drawn again.
    Example: ddpm-course sample runs/first --sampler DDIM --steps 50 --images 64"""
    print(commands.sample_run(run, sampler, steps, guidance, images, seed, device, chunk))


def evaluate(run:str, # folder that train left
             data:str=None, # folder of the data set; the digits need none
             features:str=None, # "inception", or the folder of a train_features run
             images:int=None, # of a sampler; those of the experiment's protocols if None
             sampler:str=None, # "DDIM" or "DDPM"; all of the experiment if None
             steps:int=None, # of the sampler
             guidance:float=None, # scale s
             chunk:int=100, # images at a time, which processes share; other sizes round otherwise
             seed:int=0, # of the samples
             device:str=None): # "cpu", or None for an accelerator where there is one
    """Score a trained run by the protocols of its experiment; what is there is not done again.
    Example: ddpm-course evaluate runs/first --data ~/cifar10 --sampler DDIM --steps 50"""
    print(commands.evaluate_named(run, data=data, device=device, seed=seed, features=features,
                                  n=images, chunk=chunk, sampler=sampler, steps=steps,
                                  guidance=guidance))


def table(name:str, # of a table, an experiment, or all
          size:str="digits", # "digits", "full", or "smoke" to see in seconds that it runs
          out:str="runs/tables", # folder for NAME.json, .csv, .png, run folders, finished rows
          workers:int=None, # of a table of the digits: processes (2 if None); 0: this one alone
          data:str=None, # of an experiment: folder of the data set
          features:str=None, # of an experiment: "inception", or the folder of a train_features run
          seed:int=None, # of an experiment: of training and samples; 0 if None
          device:str=None): # of an experiment: "cpu", or None for an accelerator
    """Make a table of the digits, or of an experiment (ddpm-course list); a stopped run goes on.
    Example: ddpm-course table all --size smoke
    Of the digits there are ddim-steps, dynamics, schedules, latent, latent-backbones, guidance,
    advanced, attention, backbones, edm, edm-samplers, question-2 and question-3."""
    print(commands.make_table(name, size, out, workers, data, device, seed, features))


def cost(run:Annotated[str, {"action": "append"}]=None, # a run, beside what ships; several times
         device:str=None): # "cpu", or None for an accelerator where there is one
    """Measure what sampling costs here: seconds, images a second by batch, memory, operations.
    Example: ddpm-course cost --run runs/first"""
    print(commands.cost_table(run, device))


def info(run:str): # folder that train left
    """Tell what a run is, what it took, and what to do next.
    Example: ddpm-course info runs/first"""
    print(commands.info_run(run))


def export(run:str, # folder that train left, a model folder, or one that ships: digits
           out:str=None, # where to; RUN-diffusers, RUN.onnx, or graph.onnx by its weights if None
           format:str="diffusers", # or "onnx": the network alone; "onnx-graph": without its weights
           sampler:str=None, # of the pipeline: "DDIM" or "DDPM"; DDIM if None
           steps:int=None, # that the pipeline will be asked for; they divide those of the schedule
           spacing:str=None, # "trailing" or "leading"; what diffusers does right if None
           variance:str=None, # of DDPM: "small", "large" or "learned"
           weights:str=None): # "ema" or "model"; ema if None
    """Write a trained network for other programs.
    Example: ddpm-course export runs/first --out runs/first-diffusers --steps 50"""
    print(export_run(run, out, format, sampler=sampler, steps=steps, spacing=spacing,
                     variance=variance, weights=weights))


def import_(source:str, # folder of a pipeline of diffusers, or its name on the hub
            out:str=None): # a new model folder; one named after it in runs/ if None
    """Make a model folder of a pipeline of diffusers.
    Example: ddpm-course import google/ddpm-cifar10-32 --out runs/ddpm-cifar10"""
    print(import_source(source, out))


def push(run:str, # folder that train left, or a model folder
         repo:str, # NAME/MODEL on the hub
         dry:bool=False, # make the folder and the model card, and upload nothing
         out:str=None, # keep what is pushed in this folder
         private:bool=False, # for a repository that is made anew
         sampler:str=None, # as for export
         steps:int=None, # as for export
         spacing:str=None, # as for export
         variance:str=None): # as for export
    """Upload a trained run to the Hugging Face hub, with a model card that carries its scores.
    Example: ddpm-course push runs/first me/first --dry"""
    print(push_run(run, repo, out, dry, private, sampler=sampler, steps=steps, spacing=spacing,
                   variance=variance))


def prepare(name:str, # "cifar10", "imagenette" or "imagenet100"
            out:str=None, # folder for it; data/NAME if None
            data:str=None, # directory of ImageNet, for imagenet100
            size:int=128, # pixels a side, for imagenet100
            preprocessing:str="course"): # "course", "torchvision" or "adm"
    """Download CIFAR-10 or Imagenette, or make ImageNet-100 of ImageNet; a stopped run goes on.
    Example: ddpm-course prepare imagenet100 --data ~/imagenet --out ~/imagenet100"""
    print(commands.prepare_data(name, data, out, size, preprocessing))


def squares(data:str, # folder of photographs, one folder a class
            out:str="runs/squares.json", # JSON file
            title:str="photographs", # what they are
            images:int=1000, # how many, evenly spaced over the folder
            features:str=None): # folder of a train_features run: what they do to a distance, too
    """Measure how far the named ways to make a square of a photograph lie apart.
    Example: ddpm-course squares ~/imagenette/train --title Imagenette"""
    print(save_squares(data, out, title, n=images, features=features))


def coverage(out:str="runs/coverage.json", # a file that is there is gone on with
             repetitions:int=2000, # of each cell
             only:str=""): # kinds of intervals that hold this text; all if empty
    """Simulate how often each kind of interval holds the truth; a run that was stopped goes on.
    Example: ddpm-course coverage --repetitions 100 --out runs/few.json"""
    print(describe(run_coverage(as_file(out, "--out"), repetitions, only)))


def grade(notebook:str): # the learner's copy of a chapter
    """Say which exercises of a notebook pass. It runs the learner's cells, as opening it would.
    Example: ddpm-course grade 16_ddim.ipynb"""
    print(grades_text(notebook))


COMMANDS = {"demo": demo, "list": list_, "train": train, "sample": sample, "evaluate": evaluate,
            "table": table, "cost": cost, "info": info, "export": export, "import": import_,
            "push": push, "prepare": prepare, "squares": squares, "coverage": coverage,
            "grade": grade}


SHARED = ("train", "sample", "evaluate", "table") # of experiments: processes can share the work


def check_alone(name, what): # command, and what it is about
    "SystemExit where a launcher started several processes of what is made for one."
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world == 1 or name in SHARED and what not in {*TRAIN, *TABLES, "all"}: return
    sys.exit(f"ddpm-course {name} {what or ''}: got {world} processes of a launcher; expected one "
             f"alone (of experiments, processes share {', '.join(SHARED)})")


def usage():
    "What `ddpm-course` alone prints."
    lines = [f"  {name:10}{command.__doc__.splitlines()[0]}" for name, command in COMMANDS.items()]
    return ("usage: ddpm-course COMMAND [options]; ddpm-course COMMAND --help tells more, with an "
            "example\n\ncommands:\n" + "\n".join(lines) + f"\n\nOf an experiment, processes share "
            f"{', '.join(SHARED)}:\n  torchrun --nproc-per-node 8 -m ddpm_course.cli COMMAND ...")


def again(name, options):
    "The command that goes on after an interruption."
    more = ["--resume"] if name == "train" and options[:1] and options[0] in EXPERIMENTS else []
    return shlex.join(["ddpm-course", name, *options, *(o for o in more if o not in options)])


def main(argv=None):
    "Entry point: `ddpm-course COMMAND [options]`."
    name, *options = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name not in COMMANDS:
        print(usage())
        sys.exit(0 if name in ("-h", "--help") else f"ddpm-course: no command {name!r}")
    parser = anno_parser(COMMANDS[name], prog=f"ddpm-course {name}")
    arguments = vars(parser.parse_args(options))
    arguments = {k: v for k, v in arguments.items() if k not in ("pdb", "xtra")}
    check_alone(name, arguments.get("name"))
    keep_freed()
    try:
        with redirect_stdout(sys.stdout if int(os.environ.get("RANK", 0)) == 0 else io.StringIO()):
            COMMANDS[name](**arguments)
    except (OSError, ValueError, RuntimeError, ArithmeticError, MemoryError,
            ModuleNotFoundError) as e:
        sys.exit("\n".join([f"ddpm-course {name}: {in_words(e)}", *getattr(e, "__notes__", ())]))
    except (KeyboardInterrupt, SystemExit) as e: # SIGTERM during training: it was saved
        code = 130 if isinstance(e, KeyboardInterrupt) else e.code
        print(f"ddpm-course {name}: interrupted; go on with: {again(name, options)}",
              file=sys.stderr)
        sys.exit(code)


if __name__ == "__main__": main() # as launchers start it
