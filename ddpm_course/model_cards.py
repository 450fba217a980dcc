"README.md of an exported model: what it is, how to sample from it in diffusers, how it scored."

from .interop import from_extra
from .protocols import format_score

LOAD = """import torch
from diffusers import {scheduler}, {network}{autoencoder}

folder = {name!r} # this folder, or the name of its repository
net = {network}.from_pretrained(folder, subfolder={part!r}).eval()
scheduler = {scheduler}.from_pretrained(folder, subfolder="scheduler")
"""
LOOP = """scheduler.set_timesteps({steps})
x = torch.randn({n}, {shape}, generator=torch.Generator().manual_seed(0))
{labels}for t in scheduler.timesteps:
    with torch.no_grad(): out = net(x, t.expand(len(x)){labeled}).sample
    x = scheduler.step(out, t, x{options}).prev_sample
"""
DECODE = """vae = AutoencoderKL.from_pretrained(folder, subfolder="vae").eval()
mean, std = (torch.tensor(v)[:, None, None] for v in (vae.config.latents_mean,
                                                      vae.config.latents_std))
with torch.no_grad(): x = vae.decode(x * std + mean).sample
"""
PIPELINE = """import torch
from diffusers import {pipeline}

pipe = {pipeline}.from_pretrained({name!r}) # this folder, or the name of its repository
images = pipe(batch_size={n}, num_inference_steps={steps}{options},
              generator=torch.Generator().manual_seed(0)).images
"""


def sampling_code(trained, parts, walk, pipeline, name):
    "Python that samples from an exported model."
    options = ", use_clipped_model_output=True" * (walk.sampler == "DDIM")
    K = trained.model.num_classes
    n = 10 if K is None else min(K, 10)
    told = {"pipeline": pipeline, "name": name, "n": n, "steps": walk.steps, "options": options}
    if pipeline: return PIPELINE.format(**told)
    part = next(iter(parts))
    told |= {"scheduler": f"{walk.sampler}Scheduler", "network": type(parts[part]).__name__,
             "part": part, "autoencoder": ", AutoencoderKL" * ("vae" in parts),
             "shape": ", ".join(map(str, trained.shape)),
             "labels": "" if K is None else f"y = torch.arange({n}) # {K} classes\n",
             "labeled": "" if K is None else ", class_labels=y"}
    return (LOAD + LOOP + DECODE * ("vae" in parts)).format(**told)


def null_label(trained, parts):
    "What the card says of labels, or nothing."
    K = trained.model.num_classes
    if K is None: return []
    net = parts[next(iter(parts))]
    rows = net.config.get("num_class_embeds") or K + 1 # a DiT of diffusers always has the last one
    more = f"; {K} means no label, for guidance" * (rows > K)
    return [f"It takes labels 0 to {K - 1}{more}. No pipeline of diffusers passes labels on: "
            "sample by the loop below."]


def facts(trained, parts, walk, pipeline):
    "What the card says of the model, a sentence each."
    T = len(trained.schedule)
    size = "x".join(map(str, trained.shape))
    clip = "not clipped" if trained.clip is None else f"clipped to {trained.clip:g}"
    yield f"It makes {size}, predicts {trained.model.predicts} and has {T} timesteps; x0 is {clip}."
    yield (f"Its scheduler is made for {walk.steps} steps with {walk.spacing} spacing; other "
           f"numbers of steps have to divide {T}.")
    if walk.sampler == "DDIM" and trained.clip is not None:
        yield ("`use_clipped_model_output=True` derives the noise anew from the clipped image, as "
               "the course does; it is an argument, and no scheduler keeps it.")
    yield from null_label(trained, parts)
    if "vae" in parts: yield "Its images are latents; the autoencoder beside it decodes them."


def metadata(name, scores):
    "The head of a card, as the hub reads it."
    hub = from_extra("huggingface_hub")
    task = "unconditional-image-generation"
    results = [hub.EvalResult(task_type=task, dataset_type=card.reference or "unknown",
                              dataset_name=card.reference or "unknown", metric_type=key,
                              metric_name=card.name, metric_value=card.value)
               for row in scores for key, card in row.items() if card is not None]
    told = {"model_name": name, "eval_results": results} if results else {}
    tags = ["ddpm_course", "diffusion"]
    return hub.ModelCardData(library_name="diffusers", pipeline_tag=task, tags=tags,
                             **told).to_yaml()


SCORE_COLUMNS = ("measured", "value [95 % interval]", "images", "reference", "seen through",
                 "sampler")


def score_table(scores): # rows {name: `Score`}
    "Cards as a table in Markdown; their whole protocol lies beside it."
    if not scores: return ""
    cards = [card for row in scores for card in row.values() if card is not None]
    rows = [SCORE_COLUMNS, ["---"] * len(SCORE_COLUMNS)] + [
        (c.name, format_score(c), c.n_fake, c.reference, c.features,
         " ".join(str(v) for v in (c.sampler, c.steps, c.spacing) if v is not None)) for c in cards]
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n## Scores\n\nMeasured by ddpm_course; scores.json holds the protocol of each.\n\n" \
        + "\n".join(lines) + "\n"


def model_card(trained, parts, walk, pipeline, name=".", scores=()):
    "README.md of an exported model, with the code that samples from it."
    told = "\n".join(f"- {fact}" for fact in facts(trained, parts, walk, pipeline))
    title = "A diffusion model" if name == "." else name
    return (f"---\n{metadata(title, scores)}\n---\n\n# {title}\n\nA model of ddpm_course.\n\n"
            f"{told}\n\n```python\n{sampling_code(trained, parts, walk, pipeline, name)}```\n"
            f"{score_table(scores)}")
