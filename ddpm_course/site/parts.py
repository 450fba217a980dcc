"The small pictures of the parts of the course, on dark ground and without text."

from functools import lru_cache
from pathlib import Path

import torch

from ..attention import text_model
from ..cards import load_scores
from ..ddim import ddim_sample
from ..denoisers import ExactDenoiser
from ..exact import GaussianMixture
from ..guidance import cfg
from ..images import from_uint8, load_digits, to_uint8
from ..latent_digits import digits_space
from ..noising import cosine_schedule, linear_schedule, q_sample
from ..schedules import scaled_linear_schedule, sigmoid_schedule
from ..solvers import heun_steps, karras_sigmas
from ..training import digits_model

RESULTS_FOLDER = Path(__file__).parents[2] / "nbs" / "results"
GROUND = (16, 21, 31) # dark: what is drawn on it stands on light pages and on dark ones
PALETTE = ("#f28e2b", "#5aa9e6", "#7bc47f", "#d7dce5") # legible on the ground
WIDTH = 288
HEIGHT = 192


# ---- pictures of Pillow ----

def as_picture(pixels):
    "A uint8 tensor (H, W, 3) or (H, W, 4) as a picture of Pillow."
    from PIL import Image
    return Image.fromarray(pixels.contiguous().numpy())


def enlarged(picture, scale):
    "Each pixel as a square of `scale` pixels."
    from PIL import Image
    size = picture.width * scale, picture.height * scale
    return picture.resize(size, Image.Resampling.NEAREST)


@lru_cache
def photographs(width, height):
    "scikit-learn's photographs of a temple and a dahlia, (2, 3, height, width) in [-1, 1]."
    from PIL import Image
    from sklearn.datasets import load_sample_images
    small = [Image.fromarray(photo).resize((width, height), Image.Resampling.BOX)
             for photo in load_sample_images().images]
    pixels = [torch.frombuffer(bytearray(photo.tobytes()), dtype=torch.uint8) for photo in small]
    return from_uint8(torch.stack(pixels).view(2, height, width, 3).permute(0, 3, 1, 2))


def side_by_side(images):
    "Images (N, C, H, W) in [-1, 1] in a row, uint8 (H, N W, 3)."
    pixels = to_uint8(images).expand(-1, 3, -1, -1)
    return pixels.permute(2, 0, 3, 1).flatten(1, 2)


def mosaic(images, columns, scale):
    "Images (N, C, H, W) in [-1, 1] in rows with gaps of one of their pixels, on the ground."
    from PIL import Image
    H, W = images.shape[2:]
    picture = Image.new("RGB", (WIDTH, HEIGHT), GROUND)
    rows = len(images) // columns
    left = (WIDTH - (columns * (W + 1) - 1) * scale) // 2
    top = (HEIGHT - (rows * (H + 1) - 1) * scale) // 2
    for i, image in enumerate(images.split(1)):
        at = left + i % columns * (W + 1) * scale, top + i // columns * (H + 1) * scale
        picture.paste(enlarged(as_picture(side_by_side(image)), scale), at)
    return picture


def plot():
    "(figure, axes) without text, on the ground."
    from matplotlib.figure import Figure
    ground = [value / 255 for value in GROUND]
    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, facecolor=ground)
    axes = figure.add_axes((0.06, 0.08, 0.88, 0.84))
    axes.set_axis_off()
    return figure, axes


def drawn(figure):
    "What matplotlib drew, as a picture of Pillow."
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    size = canvas.get_width_height()
    return Image.frombuffer("RGBA", size, bytes(canvas.buffer_rgba())).convert("RGB")


# ---- one a part ----

def tour():
    "Points of two moons, noised, and the score at a grid: the figure of chapter 00."
    from sklearn.datasets import make_moons
    points = make_moons(400, noise=0.03, random_state=0)[0]
    moons = torch.tensor((points - [0.5, 0.25]) / 0.75).float().view(-1, 2, 1, 1)
    schedule = cosine_schedule()
    noise = torch.randn(moons.shape, generator=torch.Generator().manual_seed(0))
    cloud = q_sample(schedule, moons, 130, noise).flatten(1).T
    grid = torch.cartesian_prod(torch.linspace(-2.6, 2.6, 15), torch.linspace(-1.7, 1.7, 10))
    model = GaussianMixture(moons, 0.05).model(schedule)
    arrows = -model(grid.view(-1, 2, 1, 1), torch.full((len(grid),), 130)).flatten(1)
    arrows = arrows / arrows.norm(dim=1, keepdim=True)
    figure, axes = plot()
    axes.quiver(*grid.T, *arrows.T, color=PALETTE[1], scale=26, width=0.006)
    axes.plot(*cloud, ".", ms=3, color=PALETTE[0])
    axes.set(xlim=(-2.8, 2.8), ylim=(-1.9, 1.9))
    return drawn(figure)


def foundations():
    "The dahlia, noised more from column to column: right clean, left nothing but noise."
    photo = photographs(WIDTH // 2, HEIGHT // 2)[1:].flip(-1)
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    t = torch.linspace(999, 0, photo.shape[3]).long()
    noised = [q_sample(cosine_schedule(), photo[..., [i]], int(t[i]), noise[..., [i]])
              for i in range(len(t))]
    return enlarged(as_picture(side_by_side(torch.cat(noised, 3))), 2)


def practice():
    "A batch as a loader of pictures gives it: crops of two photographs, some mirrored."
    photos = photographs(180, 120)
    rng = torch.Generator().manual_seed(2)
    crops = []
    for i in range(24):
        top = int(torch.randint(0, 120 - 45, (1,), generator=rng))
        left = int(torch.randint(0, 180 - 45, (1,), generator=rng))
        crop = photos[i % 2, :, top:top + 45, left:left + 45]
        crops.append(crop.flip(-1) if i % 3 == 0 else crop)
    return mosaic(torch.stack(crops), 6, 1)


def measuring():
    "Resamples of a variance, with the value and its 95 % interval, as in chapter 31."
    rng = torch.Generator().manual_seed(0)
    draws = torch.randn(20, generator=rng, dtype=torch.float64)
    index = torch.randint(20, (5000, 20), generator=rng)
    resampled = draws[index].var(1, correction=0)
    shift = draws.var(correction=0) - resampled.mean()
    low, high = resampled.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)) + shift
    figure, axes = plot()
    heights = axes.hist(resampled.numpy(), bins=34, color=PALETTE[1], rwidth=0.86)[0]
    axes.axvline(float(draws.var(correction=0)), color=PALETTE[3], lw=1.5)
    axes.plot([low, high], [1.1 * heights.max()] * 2, "|-", ms=13, mew=3, lw=3, color=PALETTE[0])
    return drawn(figure)


def choices():
    "The share of the picture at each timestep, under four schedules."
    figure, axes = plot()
    made = cosine_schedule(), linear_schedule(), sigmoid_schedule(), scaled_linear_schedule()
    for schedule, color in zip(made, PALETTE):
        axes.plot(schedule.alpha_bars.sqrt(), color=color, lw=2.5)
    return drawn(figure)


def latents():
    "Digits, the two channels of their latents, and the digits decoded again."
    space = digits_space()
    x0 = load_digits("test").batch(range(6))[0]
    z = space.encode(x0)
    again = space.decode(z)
    wide = torch.nn.functional.interpolate(z / 2.5, 8)
    return mosaic(torch.cat([x0, wide[:, :1], wide[:, 1:], again]), 6, 5)


def guidance():
    "Digits of the shipped network at guidance scales 0, 1, 3 and 8, from the same noise."
    trained = digits_model()
    labels = torch.tensor([2, 3, 5, 7, 8, 9])
    shape = (len(labels), *trained.shape)
    rows = [ddim_sample(cfg(trained.model, labels, s), trained.schedule, shape, 20, seed=4)
            for s in (0, 1, 3, 8)]
    return mosaic(torch.cat(rows), 6, 5)


def architectures():
    "What the shipped network draws for eight captions of chapter 70, two of each pair."
    trained = text_model()
    model = trained.model.asked(["a three left of a seven", "a seven left of a three",
                                 "a two left of a five", "a five left of a two"])
    y = torch.tensor([0, 1, 2, 3] * 2)
    shape = (len(y), *trained.shape)
    return mosaic(ddim_sample(cfg(model, y, 3.0), trained.schedule, shape, 25, seed=0), 2, 4)


def edm():
    "Solutions of the equation of chapter 80, from noise on the left to data on the right."
    two = ExactDenoiser(GaussianMixture([-0.8, 0.7], 0.12))
    x_T = torch.special.ndtri(torch.linspace(0.03, 0.97, 17).double()).view(-1, 1, 1, 1)
    levels = karras_sigmas(120, 0.002, 3.0)
    path = [step.x_t.flatten() for step in heun_steps(two, x_T.shape, sigmas=levels, x_T=x_T)]
    figure, axes = plot()
    for i, line in enumerate(torch.stack(path).T):
        axes.plot(-levels, line, color=PALETTE[i % 2], lw=2)
    axes.set(ylim=(-3.2, 3.2))
    return drawn(figure)


def experiments():
    "Question 1 as chapter 90 shows it: the distance under each schedule, seed by seed."
    found = {}
    for row in load_scores(RESULTS_FOLDER / "schedules.json"):
        card = row["distance"]
        found.setdefault(card.settings["variant"], []).append(card.value)
    figure, axes = plot()
    for y, name in enumerate(sorted(found, key=lambda name: -sum(found[name]))):
        values = sorted(found[name])
        axes.semilogx([values[0], values[-1]], [y, y], color=PALETTE[3], lw=1.5)
        axes.semilogx(values, [y] * len(values), "o", ms=6, color=PALETTE[0 if y == 8 else 1])
    axes.set(ylim=(-1, len(found)))
    return drawn(figure)


PARTS = {"0": tour, "1": foundations, "2": practice, "3": measuring, "4": choices, "5": latents,
         "6": guidance, "7": architectures, "8": edm,
         "9": experiments} # a chapter's first digit -> what draws its picture


def part_pictures():
    "{file: picture of Pillow}, one a part."
    return {f"part-{digit}.png": draw() for digit, draw in PARTS.items()}
