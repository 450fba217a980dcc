"Augmentation that does not leak: a network is told what was done, and told nothing in sampling."

import math
from dataclasses import dataclass

import torch
from torch.nn.functional import affine_grid, grid_sample

from .arguments import check_fields, check_rows, checked
from .kinds import amount, share, some_images, tensor

PARAMETERS = 9 # x flip, y flip, log scale, rotation (2), stretch (2), translation (2)


def some_parameters(value, name):
    "The kind of parameters of augmentations: floats (B, 9)."
    if tensor("(B, 9)")(value, name).shape[1] == PARAMETERS: return value
    raise ValueError(f"{name}: got shape {tuple(value.shape)}; expected (B, 9), as Augment draws")


def turned(angle):
    "Rotations by angles (B,) as matrices (B, 2, 2)."
    rows = [angle.cos(), -angle.sin(), angle.sin(), angle.cos()]
    return torch.stack(rows, 1).view(-1, 2, 2)


def scaled(x, y):
    "Stretches by factors (B,) along both axes as matrices (B, 2, 2)."
    return torch.diag_embed(torch.stack([x, y], 1))


@dataclass(frozen=True)
class Augment:
    "One affine map an image, each of its parts done with probability p (Karras et al., app. F.2)."
    p: float = 0.12
    scale: float = 0.2 # standard deviation of log2 of the size
    stretch: float = 0.2 # of log2 of the ratio of the axes
    translate: float = 0.125 # standard deviation, as a share of the image
    flip: bool = True # x flips with probability 1/2, whatever p is

    def __post_init__(self):
        check_fields(self, p=share, scale=amount, stretch=amount, translate=amount)

    def draw(self, x, rng):
        "Parameters (B, 9) for images x; a row of zeros leaves its image as it is."
        normal = lambda: rng.randn_like(x.flatten(1)[:, 0])
        happens = lambda p=self.p: (rng.rand() < p).to(x)
        x_flip = happens(0.5 if self.flip else 0.0)
        y_flip = happens() * happens(0.5)
        size = happens() * self.scale * normal()
        angle = happens() * (2 * rng.rand().to(x) - 1) * math.pi
        axis = (2 * rng.rand().to(x) - 1) * math.pi
        ratio = happens() * self.stretch * normal()
        moves = happens()
        shifts = [moves * self.translate * normal() for _ in range(2)]
        parts = [x_flip, y_flip, size, angle.cos() - 1, angle.sin(), ratio * axis.cos(),
                 ratio * axis.sin(), *shifts]
        return torch.stack(parts, 1)

    def __call__(self, x, rng): # images (B, C, H, W), `BatchRandom`
        "(augmented images, their parameters (B, 9))."
        parameters = self.draw(x, rng)
        return augmented(x, parameters), parameters


@checked(x=some_images, parameters=some_parameters)
def augmented(x, # images (B, C, H, W)
              parameters): # (B, 9), as `Augment` draws them
    "The images under their maps: bilinear, and mirrored at the border."
    check_rows(parameters[:, 0], x, "parameters")
    x_flip, y_flip, size, cos_1, sin, along, across, right, down = parameters.unbind(1)
    ratio = (along**2 + across**2).sqrt()
    axis = turned(torch.atan2(across, along))
    zoom = 2**-size
    A = scaled((1 - 2 * x_flip) * zoom, (1 - 2 * y_flip) * zoom)
    A = axis @ scaled(2**-ratio, 2**ratio) @ axis.mT @ A
    A = A @ turned(-torch.atan2(sin, cos_1 + 1))
    shift = -2 * torch.stack([right, down], 1)[:, :, None] # a grid goes from -1 to 1
    grid = affine_grid(torch.cat([A, A @ shift], 2), list(x.shape), align_corners=False)
    moved = grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    still = (parameters == 0).all(1).view(-1, 1, 1, 1)
    return torch.where(still, x, moved)
