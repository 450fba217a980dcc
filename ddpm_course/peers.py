"What a scheduler of diffusers says of a model: one table of names, read in both directions."

from typing import NamedTuple

from .arguments import checked
from .kinds import a_schedule, an_instance, clip_size, count, having, one_of, optional
from .noising import NoiseSchedule

PREDICTION = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}
VARIANCE = {"small": "fixed_small", "large": "fixed_large", "learned": "learned_range"}
PLAIN = {"thresholding": False, "predict_epsilon": True} # what else the course cannot hold


class Told(NamedTuple):
    "What a scheduler of diffusers says of the network beside it."
    schedule: NoiseSchedule | None
    predicts: str | None # "eps", "x0" or "v"
    clip: float | None # of x0_hat


class Walk(NamedTuple):
    "How an exported pipeline samples."
    sampler: str # "DDIM" or "DDPM"
    steps: int # that it is asked for
    spacing: str # "trailing" or "leading"
    variance: str # of DDPM: a name in VARIANCE


@checked(schedule=a_schedule, clip=clip_size, walk=an_instance(Walk, ", as walk_of makes it"))
def scheduler_config(schedule, # NoiseSchedule
                     predicts: str, clip: float | None, walk: Walk) -> dict:
    "The configuration of the DDIMScheduler or DDPMScheduler that does as the course's samplers."
    config = {"num_train_timesteps": len(schedule), "trained_betas": schedule.betas.tolist(),
              "prediction_type": PREDICTION[predicts], "clip_sample": clip is not None,
              "clip_sample_range": 1.0 if clip is None else clip, "timestep_spacing": walk.spacing}
    own = {"DDIM": {"set_alpha_to_one": True}, "DDPM": {"variance_type": VARIANCE[walk.variance]}}
    return config | own[walk.sampler]


@checked(scheduler=having("config", "betas", what="a DDIMScheduler or DDPMScheduler"))
def scheduler_told(scheduler) -> Told: # of diffusers
    "Schedule, what the network predicts, and clip; ValueError where the course has no such thing."
    c = scheduler.config
    predicts = {theirs: ours for ours, theirs in PREDICTION.items()}.get(c["prediction_type"])
    odd = [f"{key}={c[key]!r}" for key, usual in PLAIN.items() if c.get(key, usual) != usual]
    odd += [f"prediction_type={c['prediction_type']!r}"] * (predicts is None)
    odd += ["variance_type='learned'"] * (c.get("variance_type") == "learned")
    if odd:
        raise ValueError(f"the scheduler has {', '.join(odd)}; expected a prediction_type of "
                         f"{', '.join(PREDICTION.values())}, thresholding=False, and of learned "
                         "variances learned_range")
    exact = c.get("trained_betas") is not None and not c.get("rescale_betas_zero_snr")
    betas = c["trained_betas"] if exact else scheduler.betas # their own tables are float32
    clip = c["clip_sample_range"] if c["clip_sample"] else None
    return Told(NoiseSchedule(betas), predicts, clip)


# ---- what diffusers does otherwise ----

@checked(sampler=one_of("DDIM", "DDPM"), steps=optional(count),
         spacing=optional(one_of("trailing", "leading", "linspace")),
         variance=optional(one_of(*VARIANCE)))
def walk_of(T: int, # length of the schedule
            sampler: str="DDIM", # or "DDPM"
            steps: int | None=None, # None: at most 50, or all of DDPM's
            spacing: str | None=None, # None: trailing, or DDPM's leading
            variance: str | None=None, # of DDPM; None: "small", or "learned"
            learned: bool=False) -> Walk: # whether the network has variance channels
    "The `Walk` that was asked for; what was not is what diffusers does as the course does."
    few = max(n for n in range(1, 51) if T % n == 0)
    usual = {"DDIM": (few, "trailing"), "DDPM": (T, "leading")}[sampler]
    return Walk(sampler, steps or usual[0], spacing or usual[1],
                variance or ("learned" if learned else "small"))


def stride_objections(T, walk):
    "Where diffusers takes other steps than those of its list: why, and what to do."
    name = f"{walk.sampler}Scheduler"
    goes = f"{name} goes from t to t - T // steps"
    if T % walk.steps:
        yield (f"steps={walk.steps} does not divide T={T}: {goes}, which with trailing spacing is "
               "not the next timestep of its list, and its leading list begins too low; choose "
               "steps that divide T")
    if walk.spacing == "linspace" and walk.steps < T:
        yield (f"spacing='linspace': {goes}, which is not the next timestep of this list "
               "(huggingface/diffusers#12633); choose trailing or leading")
    if walk.sampler == "DDPM" and walk.spacing == "trailing" and walk.steps < T:
        yield ("spacing='trailing': DDPMScheduler adds noise in a last step that does not leave "
               "from t = 0, as in trailing lists; choose leading")


def table_objections(schedule, predicts, learned, walk):
    "Where the numbers of diffusers would be others: why, and what to do."
    if learned != (walk.variance == "learned") or learned and walk.sampler == "DDIM":
        yield (f"sampler={walk.sampler!r}, variance={walk.variance!r} for a network that has "
               f"{'' if learned else 'no '}variance channels: of diffusers' schedulers only "
               "DDPMScheduler with learned_range splits them off; choose "
               f"{'DDPM' if learned else 'small or large'}")
    from_noise = walk.spacing != "leading" or walk.steps == len(schedule)
    if predicts == "eps" and schedule.ends_in_noise and from_noise:
        yield ("predicts='eps' with a schedule that ends in pure noise: diffusers divides by 0 at "
               "its first step; choose leading spacing, or a network that predicts v")
    theirs = (1 - schedule.betas.float()).cumprod(0)
    if bad := ((theirs == 0) & (schedule.alpha_bars > 0)).nonzero().flatten().tolist():
        yield (f"schedule: alpha_bar is {schedule.alpha_bar(bad[0]):.3g} at t={bad[0]}, and 0 in "
               "the float32 tables of diffusers; train with larger ones, such as those of "
               "cosine_schedule")


def check_walk(schedule, predicts, learned, walk): # `NoiseSchedule`; variance channels?; `Walk`
    "ValueError with all reasons why diffusers would not sample as the course does."
    found = [*stride_objections(len(schedule), walk),
             *table_objections(schedule, predicts, learned, walk)]
    if found: raise ValueError("; and ".join(found))
