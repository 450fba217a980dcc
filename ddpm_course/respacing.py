"A chain that visits some of the timesteps of a longer one, as a model and a schedule of its own."

import torch

from .models import Wrapper
from .noising import NoiseSchedule
from .stepping import check_timesteps


class Respaced(Wrapper):
    "A model that takes positions in a rising list of timesteps."
    def __init__(self, model, timesteps):
        super().__init__(model)
        self.timesteps = torch.tensor(timesteps)

    def __call__(self, x_t, t, y=None):
        self.timesteps = self.timesteps.to(t.device)
        return super().__call__(x_t, self.timesteps[t], y)


def respaced(model, # model(x_t, t)
             schedule, # NoiseSchedule
             timesteps): # a strictly decreasing list, as for a sampler
    "(model, NoiseSchedule) of the chain that visits only these (Nichol & Dhariwal 2021, eq. 19)."
    rising = check_timesteps(timesteps, len(schedule))[::-1]
    alpha_bars = schedule.alpha_bar(torch.tensor([-1, *rising]))
    return Respaced(model, rising), NoiseSchedule(1 - alpha_bars[1:] / alpha_bars[:-1])
