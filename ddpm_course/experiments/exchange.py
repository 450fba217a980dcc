"Runs for other libraries: exported, imported, pushed to the hub; each returns what is printed."

import shutil
import tempfile
from pathlib import Path

from ..cards import load_entries, save_scores
from ..disk import as_file, as_folder, check_unused
from ..interop import from_extra
from ..onnx_interop import write_onnx
from ..pipelines import export_pipeline, import_pipeline
from ..saving import load_model
from ..shipped import folder_of, names


def model_in(run): # folder that train left, a model folder, or the name of a shipped network
    "The model folder of a run; an error says what the folder is not."
    folder = as_folder(run, "RUN")
    if str(run) in names() and not folder.exists(): return folder_of(str(run))
    for place in (folder / "model", folder):
        if (place / "config.json").exists(): return place
    raise FileNotFoundError(f"{run} holds no model: expected the folder of a run that is trained "
                            "to its end, or a model folder with a config.json")


def to_diffusers(folder, out, **options): # of `export_pipeline`
    "Export for diffusers, and say how to sample from it there."
    made = export_pipeline(folder, out, **options)
    if made.walk is None: return f"AutoencoderKL.from_pretrained({str(out)!r}) loads it"
    if made.pipeline: return (f"{made.pipeline}.from_pretrained({str(out)!r}) samples from it; "
                              f"{out / 'README.md'} shows how")
    return (f"It is in {out}. No pipeline of diffusers passes on its labels, or decodes its "
            f"latents: {out / 'README.md'} shows the loop that does")


def to_onnx(folder, out, weights="ema", beside=None, **walk): # beside: of `write_onnx`
    "Write the network alone as ONNX; ValueError for options of a sampler."
    if walk: raise ValueError(f"--{min(walk)}: an ONNX file holds a network and no sampler; leave "
                              "it out, or pass --format diffusers")
    check_unused(out)
    return write_onnx(load_model(folder, weights), out, beside)


def to_graph(folder, out, weights="ema", **walk):
    "The same without the weights, to which it points; ValueError where they are not beside it."
    if out.parent.resolve() == folder.resolve():
        return to_onnx(folder, out, weights, folder / f"{weights}.safetensors", **walk)
    raise ValueError(f"--out {out}: a graph lies beside the weights that it points to; expected a "
                     f"file in {folder}")


# --format of `export`: {name: (what writes it, to what kind of path, where to by default)}
EXPORTS = {"diffusers": (to_diffusers, as_folder, lambda run, folder: f"{run}-diffusers"),
           "onnx": (to_onnx, as_file, lambda run, folder: f"{run}.onnx"),
           "onnx-graph": (to_graph, as_file, lambda run, folder: folder / "graph.onnx")}


def export_run(run, out=None, format="diffusers", **options):
    "Export the model of a run; options that were not given are the format's own."
    if format not in EXPORTS:
        raise ValueError(f"--format {format}: expected one of {', '.join(EXPORTS)}")
    given = {k: v for k, v in options.items() if v is not None}
    write, as_path, usual = EXPORTS[format]
    folder = model_in(run)
    out = usual(as_folder(run, "RUN"), folder) if out is None else out
    return write(folder, as_path(out, "--out"), **given)


def import_source(source, out=None):
    "Import a pipeline of diffusers, and say what it was."
    out = as_folder(f"runs/{Path(source).name}" if out is None else out, "--out")
    told = import_pipeline(source, out)
    if told.schedule is None: return f"An autoencoder is in {out}"
    return (f"A model that predicts {told.predicts}, of {len(told.schedule)} timesteps, clip "
            f"{told.clip}, is in {out}; it goes back with: ddpm-course export {out} --out FOLDER")


# ---- the hub ----

def scores_in(run):
    "(rows of cards, what made each) that evaluate left in a run."
    files = sorted((as_folder(run) / "scores").glob("*.json"))
    entries = [entry for file in files for entry in load_entries(file)]
    return [row for row, _ in entries], [about for _, about in entries]


def fill_repository(folder, run, repo, **options):
    "What a repository will hold: the export, a model card with the scores, the scores themselves."
    scores, abouts = scores_in(run)
    to_diffusers(model_in(run), folder, name=repo, scores=scores, **options)
    if scores: save_scores(folder / "scores.json", scores, abouts)


def upload(folder, repo, private):
    "Create a repository on the hub if it is not there, and put a folder into it."
    api = from_extra("huggingface_hub").HfApi()
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        return api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Upload model")
    except Exception as e: # of many kinds: network, token, rights
        raise OSError(f"{repo} could not be pushed ({str(e).splitlines()[0][:200]}); log in with "
                      "hf auth login, or look at what would be pushed with --dry") from e


def push_run(run, repo, out=None, dry=False, private=False, **options):
    "Export a run for diffusers and upload it, with a model card that carries its scores."
    from_extra("huggingface_hub.utils").validate_repo_id(repo)
    given = {k: v for k, v in options.items() if v is not None}
    out = f"runs/hub/{repo}" if out is None and dry else out
    kept = None if out is None else as_folder(out, "--out")
    folder = kept or Path(tempfile.mkdtemp()) / "model"
    fill_repository(folder, run, repo, **given)
    if dry: return f"{folder} is what would be pushed to {repo}; nothing was uploaded"
    try: return f"It is in {upload(folder, repo, private)}"
    finally:
        if not kept: shutil.rmtree(folder.parent)
