"Checkers for the exercises of chapter 10."

import torch

from . import Exercise


def images(*shape, spread=0.7, seed=0):
    "Normal random numbers: images that leave [-1, 1] here and there."
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * spread


# ---- 1: floats to bytes ----
def byte(k): return k.long().to(torch.uint8)


def min_max(x): return (x - x.amin((1, 2, 3), True)) / (x.amax((1, 2, 3), True) - x.amin((1, 2, 3), True))


class ToBytes(Exercise):
    "Also asks for the dtype."
    def __call__(self, answer):
        got = answer(*self.cases()[0])
        kind = getattr(got, "dtype", type(got).__name__)
        assert got is None or kind == torch.uint8, f"Not yet: expected a uint8 tensor, got {kind}"
        super().__call__(answer)


to_bytes = ToBytes(
    right=lambda x: byte(((x.clamp(-1, 1) + 1) * 127.5).round()),
    cases=lambda: [(images(2, 3, 8, 8),), (images(1, 1, 6, 5, spread=0.2, seed=1),)],
    wrong={"this cuts the fraction off, which darkens by half a level on average; round first": lambda x: byte((x.clamp(-1, 1) + 1) * 127.5),
           "values outside [-1, 1] wrap around to the other end; clamp first": lambda x: byte(((x + 1) * 127.5).round()),
           "values outside [-1, 1] wrap around, and the fraction is cut off; clamp, then round": lambda x: byte((x + 1) * 127.5),
           "this stretches each image to its own minimum and maximum; black is -1 and white is 1 for all":
               lambda x: byte((min_max(x) * 255).round()),
           "this takes the range for [0, 1]; everything below 0 becomes black": lambda x: byte((x.clamp(0, 1) * 255).round()),
           "this scales by 128: white becomes 256, which wraps or is clamped, and all levels are off":
               lambda x: byte(((x + 1) * 128).round().clamp(0, 255))},
    praise="Clamp, then round: every level 0..255 survives the trip there and back.", tol=1e-9)


# ---- 2: center crop ----
def crop(x, size, top, left): return x[..., top:top + size, left:left + size]


def middle(side, size): return (side - size) // 2


center_crop = Exercise(
    right=lambda x, n: crop(x, n, middle(x.shape[2], n), middle(x.shape[3], n)),
    cases=lambda: [(images(2, 3, 8, 13), 6), (images(1, 1, 15, 8, seed=1), 7), (images(1, 3, 6, 6, seed=2), 6)],
    wrong={"this cuts the corner at the top left": lambda x, n: crop(x, n, 0, 0),
           "this swaps the margins: H goes with the top, W with the left": lambda x, n: crop(x, n, middle(x.shape[3], n), middle(x.shape[2], n)),
           "this squeezes the whole image into the square; cut, don't resize":
               lambda x, n: torch.nn.functional.interpolate(x, (n, n), mode="bilinear", antialias=True),
           "where the margin is odd, the smaller half belongs on the left and at the top":
               lambda x, n: crop(x, n, -((n - x.shape[2]) // 2), -((n - x.shape[3]) // 2)),
           "this starts at the center; it must start half a `size` before it": lambda x, n: crop(x, n, x.shape[2] // 2, x.shape[3] // 2)},
    praise="The same margins as torchvision's CenterCrop, but for the side that gets the odd pixel.", tol=1e-9)


# ---- 3: flips ----
class FlipSome(Exercise):
    "Also looks whether the input was left alone."
    def __call__(self, answer):
        (x, u), *_ = self.cases()
        before = x.clone()
        answer(x, u)
        assert torch.equal(x, before), "Not yet: this changes x itself; the set in memory would be mirrored for good"
        super().__call__(answer)


def some(x, u, dim=-1): return torch.where(u.view(-1, 1, 1, 1) < 0.5, x.flip(dim), x)


flip_some = FlipSome(
    right=some,
    cases=lambda: [(images(4, 3, 5, 6), torch.tensor([0.1, 0.9, 0.4, 0.5])), (images(3, 1, 4, 4, seed=1), torch.tensor([0.7, 0.2, 0.6]))],
    wrong={"this turns images upside down; left-right is the last axis": lambda x, u: some(x, u, -2),
           "this mirrors where u >= 0.5": lambda x, u: some(x, 0.999 - u),
           "one coin decides for the whole batch; each image has its own": lambda x, u: x.flip(-1) if u[0] < 0.5 else x,
           "this mirrors every image": lambda x, u: x.flip(-1),
           "this reverses the order of the images, not of the columns": lambda x, u: some(x, u, 0),
           "this exchanges the channels; left-right is the last axis": lambda x, u: some(x, u, 1)},
    praise="One coin an image, and the coins come from outside: a resumed run mirrors the same ones.", tol=1e-9)


# ---- 4: wrap-around ----
def levels(x): return ((x + 1) * 127.5).round()


wrapped = Exercise(
    right=lambda x: (levels(x) < 0) | (levels(x) > 255),
    cases=lambda: [(images(1, 3, 16, 16),), (torch.tensor([-1.5, -1.006, -1.001, -1.0, 0.0, 1.0, 1.001, 1.006, 1.5]).view(1, 1, 3, 3),)],
    wrong={"rounding forgives a little: values up to 1 + 1/255 still give 255": lambda x: x.abs() > 1,
           "wrap-around happens below 0 as well": lambda x: levels(x) > 255,
           "wrap-around happens above 255 as well": lambda x: levels(x) < 0,
           "255 and 0 themselves fit a byte": lambda x: (levels(x) <= 0) | (levels(x) >= 255),
           "this is the mask of the values that are right": lambda x: (levels(x) >= 0) & (levels(x) <= 255)},
    praise="Half of all digit pixels lie at the very end of the range: that is where the speckles come from.", tol=1e-9)
