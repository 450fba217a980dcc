"Drawing the timesteps of training by how much their losses vary, with weights that make up for it."

import torch

from .arguments import checked
from .kinds import count, share
from .ranks import gathered


class ImportanceSampler:
    """Draws t in proportion to the root of its mean squared loss (Nichol & Dhariwal 2021, eq. 18).

    Until every t has `keep` losses, all are drawn equally often. `fit` calls `begin` and
    `end_step`, and keeps `state` in its checkpoints; a training loop of your own calls `end_step`
    after each step. On several devices all of them see the losses of all."""
    @checked(keep=count, uniform=share)
    def __init__(self, T: int, # length of the schedule
                 keep: int=10, # losses that are remembered of each t
                 uniform: float=0.001): # share of the draws that are uniform, 0..1
        self.uniform = uniform
        self.state = {"losses": torch.zeros(T, keep, dtype=torch.float64),
                      "counts": torch.zeros(T, dtype=torch.int64)}
        self.pending = []

    def begin(self):
        "Forget everything: what a run draws depends on this run alone."
        self.pending.clear()
        for tensor in self.state.values(): tensor.zero_()

    def probabilities(self) -> torch.Tensor: # (T,) float64, their sum 1
        "How often each t is drawn."
        losses = self.state["losses"]
        p = losses.square().mean(1).sqrt()
        if (self.state["counts"] < losses.shape[1]).any() or p.sum() == 0: p = torch.ones_like(p)
        return (1 - self.uniform) * p / p.sum() + self.uniform / len(p)

    def draw(self, rng): # BatchRandom
        "(t, int64 (B,); weights 1 / (T p_t), (B,)): the weighted mean loss is that of uniform t."
        p = self.probabilities()
        u = rng.rand()
        t = torch.searchsorted(p.cumsum(0), u.cpu().double(), right=True).clamp(max=len(p) - 1)
        return t.to(u.device), (1 / (len(p) * p[t])).to(u)

    def update(self, t, losses): # int64 (B,); their losses (B,), not weighted
        "Remember a pass; the probabilities follow at the end of the step."
        self.pending.append(torch.stack([t.cpu().double(), losses.detach().cpu().double()], 1))

    def end_step(self):
        "Take in the losses of a step, in the order of the global batch."
        if not self.pending: return
        ranks = gathered(self.pending) # of each its passes (B, 2), as `fit` cuts a batch
        for t, loss in torch.cat([part for each in zip(*ranks) for part in each]).tolist():
            place = self.state["counts"][int(t)]
            self.state["losses"][int(t), place % self.state["losses"].shape[1]] = loss
            place += 1 # in the table, of which it is a view
        self.pending.clear()
