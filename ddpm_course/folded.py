"A U-Net on folded images: each square of pixels is one position with as many more channels."

import torch.nn.functional as F
from torch import nn

from .images import check_images
from .models import register
from .unet import UNet


def check_folds(x, channels, multiple):
    "ValueError unless images have these channels, and sides that are multiples of a number."
    C, H, W = check_images(x, "x_t").shape[1:]
    if C != channels: raise ValueError(f"x_t: got {C} channels; this network has {channels}")
    if H % multiple or W % multiple:
        raise ValueError(f"x_t: got {H}x{W} pixels; this network folds and halves them to "
                         f"1/{multiple}: expected multiples of {multiple}")


@register
class FoldedUNet(nn.Module):
    """A `UNet` inside a model of images: x_t (B, C, H, W) -> (B, C or 2C, H, W).

    The U-Net sees (B, C * fold**2, H / fold, W / fold): for fold=2 its layers work at a quarter of
    the positions (space to depth; Shi et al. 2016 unfold so). Since it folds within itself,
    schedule, loss, clipping and samplers go on working on pixels.
    """
    def __init__(self,
                 in_channels: int=3, # C
                 fold: int=2, # side of the square of pixels that becomes one position
                 **options): # of `UNet`
        super().__init__()
        self.net = UNet(in_channels * fold**2, **options)
        self.config = self.net.config | {"in_channels": in_channels, "fold": fold}
        self.predicts = self.net.predicts
        self.num_classes = self.net.num_classes

    def forward(self, x, t, y=None): # as for `UNet`
        fold = self.config["fold"]
        check_folds(x, self.config["in_channels"], fold * 2**(len(self.config["channels"]) - 1))
        return F.pixel_shuffle(self.net(F.pixel_unshuffle(x, fold), t, y), fold)
