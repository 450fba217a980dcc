"The film at the head of the landing page: noise becomes pictures, by samplers of the course."

import html
from functools import lru_cache

import torch

from ..ddim import ddim_steps
from ..exact import LocalModel
from ..images import to_uint8
from ..models import condition
from ..noising import cosine_schedule
from ..training import digits_model
from .parts import as_picture, photographs, side_by_side

FILM_STEPS = 24 # of DDIM
SIZE = (144, 96) # of a color picture: whole blocks of JPEG, so that no frame shines into the next
SEEDS = {6: "Two temple towers by a lake, with a crescent of dahlia petals between them",
         24: "An orange dahlia in front of two temple towers",
         21: "An orange dahlia before a temple tower, with mist over a lake to its right"}
DIGITS_ALT = "The handwritten digits 0 to 9"


# ---- what is drawn ----

def narrowing(t):
    "The side of the patch: 37 pixels in pure noise, down to 3 in the clean picture."
    return 3 + 2 * round(17 * t / 999)


def trajectory(steps):
    "All states of a sampler, from x_T to x_0: (FILM_STEPS + 1, B, C, H, W)."
    steps = list(steps)
    return torch.stack([step.x_t for step in steps] + [steps[-1].x_prev])


@lru_cache
def color_walk():
    "The local predictor, shown two photographs and their mirror images, draws new pictures."
    photos = photographs(*SIZE)
    schedule = cosine_schedule()
    model = LocalModel(torch.cat([photos, photos.flip(-1)]), schedule, narrowing, spread=0.03)
    shape = (len(SEEDS), *photos.shape[1:])
    return trajectory(ddim_steps(model, schedule, shape, FILM_STEPS, seed=list(SEEDS)))


@lru_cache
def digits_walk():
    "The network that comes with the package draws the digits 0 to 9."
    trained = digits_model()
    model = condition(trained.model, torch.arange(10))
    shape = (10, *trained.shape)
    steps = ddim_steps(model, trained.schedule, shape, FILM_STEPS, seed=0, clip=trained.clip)
    return trajectory(steps)


# ---- the pictures ----

def with_gaps(digits):
    "Ten digits in a row with a transparent pixel after each, uint8 (8, 90, 4)."
    opaque = torch.full_like(digits, 255).byte()
    pixels = torch.cat([to_uint8(digits).expand(-1, 3, -1, -1), opaque], 1)
    cells = torch.nn.functional.pad(pixels, (0, 1))
    return cells.permute(2, 0, 3, 1).flatten(1, 2)


def film_pictures():
    "{file: picture}: all frames in a row for what moves, a still for where it ends."
    digits = digits_walk()
    made = {"film-digits.png": as_picture(torch.cat([with_gaps(x) for x in digits[:-1]], 1)),
            "still-digits.png": as_picture(with_gaps(digits[-1]))}
    for i, states in enumerate(color_walk().unbind(1)):
        made[f"film-{i}.jpg"] = as_picture(side_by_side(states[:-1]))
        made[f"still-{i}.jpg"] = as_picture(side_by_side(states[-1:]))
    return made


# ---- the page ----

FIGURE = """<figure class="film">
<style>
.film {{ display: flex; flex-wrap: wrap; align-items: baseline; gap: .5rem; margin: 0 0 1rem }}
.film .reel {{ order: -1; display: grid; grid-template-columns: repeat(3, 1fr); gap: .5rem;
 width: 100% }}
.film .reel div {{ position: relative; aspect-ratio: 3/2; overflow: hidden; border-radius: 4px }}
.film .reel .digits {{ grid-column: 1/-1; aspect-ratio: 90/8; border-radius: 0 }}
.film .reel img {{ position: absolute; inset: 0; margin: 0; width: 100%; height: 100%;
 max-width: none; object-fit: cover; background: none !important }}
.film .digits img {{ image-rendering: pixelated }}
.film .moves {{ object-position: 100% 0; opacity: 0; animation: film {seconds}s step-end infinite }}
.film input:checked ~ .reel .moves {{ animation-play-state: paused }}
.film figcaption {{ flex: 1 1 20rem; margin: 0 }}
@keyframes film {{
{rules}
}}
@media (prefers-reduced-motion: reduce) {{
 .film .moves {{ animation: none }}
 .film input, .film label {{ display: none }}
}}
</style>
<input type="checkbox" id="film-pause"><label for="film-pause">Pause the film</label>
<div class="reel">
{panels}
</div>
<figcaption>{caption}</figcaption>
</figure>"""
CAPTION = (
    f"Noise becomes pictures, and noise again, in {FILM_STEPS} steps of DDIM. Above, by a formula "
    "without any training that was shown two photographs: one of a temple, one of a dahlia. "
    "Neither shows a flower before a temple; the tour says how such pictures come about. "
    "Below, digits by the small network that comes with the package.")


def panel(name, alt, kind="photo"):
    "A still, and what moves before it: a dot where styles are taken away, as in JupyterLab."
    ending = name.rpartition(".")[2]
    stem = name.removesuffix("." + ending)
    return (f'<div class="{kind}"><img class="still" src="images/still-{stem}.{ending}"'
            f' alt="{html.escape(alt)}, drawn from noise">'
            f'<img class="moves" src="images/film-{stem}.{ending}" aria-hidden="true"'
            ' width="1" height="1" alt="The steps from noise"></div>')


def key_frames(there=45, hold=88): # percent of the time: when the still is reached, and left
    "Rules of CSS: the frames to the picture, the still for a while, the frames back to noise."
    rule = "{:.2f}% {{object-position: {:.4g}% 0; opacity: {}}}".format
    places = [100 * k / (FILM_STEPS - 1) for k in range(FILM_STEPS)]
    to_picture = [rule(there * k / FILM_STEPS, place, 1) for k, place in enumerate(places)]
    back = [rule(hold + (100 - hold) * k / FILM_STEPS, 100 - place, 1)
            for k, place in enumerate(places)]
    return "\n".join([*to_picture, rule(there, 100, 0), *back, rule(100, 0, 1)])


def film(seconds=13):
    "The film as HTML that needs neither kernel nor script; its pictures lie in images/."
    from IPython.display import HTML
    panels = [panel(f"{i}.jpg", alt) for i, alt in enumerate(SEEDS.values())]
    panels.append(panel("digits.png", DIGITS_ALT, "digits"))
    return HTML(FIGURE.format(seconds=seconds, rules=key_frames(), panels="\n".join(panels),
                            caption=CAPTION))
