"Question 2: how long to train?"

from ..latent_digits import digits_latents, digits_space
from ..training import DIGITS_FIT
from .families import Family, of_card
from .generation import measure
from .latent import in_latents
from .plots import error_bars, floor_line, new_figure, plain_ticks
from .question_3 import QUESTION_3_SCALE
from .samplers import Sampler
from .tables import Table, product

QUESTION_2_STEPS = (75, 150, 300, 600, 1200)


def question_2_row(steps, seed, n, sampler_steps):
    "Train the latent network for a number of steps; its samples scored with guidance, and without."
    trained, about = in_latents("cosine, v", seed, steps, network="digits")
    epochs = steps * DIGITS_FIT["batch_size"] / 1000
    def scored(scale):
        sampler = Sampler("DDIM", sampler_steps, guidance=scale)
        row = measure(sampler, trained, n, seed, progress=False, model="digits, latents",
                      about=about, decode=digits_space().decode)[0]
        row["distance"].notes["epochs"] = epochs
        return row
    guided = scored(QUESTION_3_SCALE)
    plain = scored(1.0)
    return guided | {f"plain {name}": plain[name] for name in ("accuracy", "distance")}


def plot_question_2(rows): # of `QUESTION_2`
    "Distance and accuracy against epochs of training, with and without guidance: a figure."
    figure = new_figure(6.4, 2.8)
    epochs = [row["distance"].notes["epochs"] for row in rows]
    left, right = figure.subplots(1, 2)
    left.set_ylabel("Fréchet distance")
    right.set_ylabel("accuracy")
    for ax, name in ((left, "distance"), (right, "accuracy")):
        for key, about in ((name, f"guided, s = {QUESTION_3_SCALE:g}"), (f"plain {name}", "plain")):
            cards = [row[key] for row in rows]
            ax.errorbar(epochs, [s.value for s in cards], error_bars(cards), fmt="o-", ms=4,
                        capsize=2, lw=1.2, label=about)
        ax.set(title=f"{name} and training", xlabel="epochs of 1,000 images",
               xscale="log")
        plain_ticks(ax.xaxis, epochs)
    floor_line(left, rows)
    left.set_yscale("log")
    plain_ticks(left.yaxis, (2, 5, 10, 20, 50))
    left.legend(fontsize=8)
    return figure


def length(steps, **pick):
    "What picks a length of training."
    return {"train_steps": steps} | pick


DOUBLED = {f"{b} steps": (length(b), length(a))
           for a, b in zip(QUESTION_2_STEPS, QUESTION_2_STEPS[1:])}
GUIDED = {f"{n} steps": (length(n), length(n, card="plain distance")) for n in QUESTION_2_STEPS}
QUESTION_2 = Table(
    "question-2", "Question 2: DDIM with a VAE and guidance against the length of training.",
    question_2_row, plot=plot_question_2, prepare=digits_latents,
    family=Family({"longer, with guidance": DOUBLED,
                   "longer, without": of_card("plain distance", DOUBLED),
                   "guided minus plain": GUIDED}, vary=("train_steps", "guidance", "nfe"),
                  margins={"distance": 0.5, "plain distance": 0.5}),
    grid={"digits": product(seed=range(3), steps=QUESTION_2_STEPS, n=797, sampler_steps=50),
          "smoke": product(seed=range(2), steps=[2, 4], n=40, sampler_steps=4)},
    columns=("epochs", "accuracy", "plain accuracy", "distance", "plain distance", "nearest"))
