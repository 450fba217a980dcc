"Half the height and width, and twice: what U-Nets and autoencoders go down and up with."

import torch
import torch.nn.functional as F
from torch import nn

from .convolution import Shortcuts

TAPS = torch.tensor([[0., 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]]) # of 4 the sums of which of 3
FEW = 512 # pixels of a batch: below, adding up the taps takes as long as it saves


class Downsample(nn.Module):
    "Halve height and width with a strided convolution."
    def __init__(self, channels, padding=0): # 0: one row and column, at the bottom and right
        super().__init__()
        self.pad = padding == 0
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=padding)

    def forward(self, x, emb, context=None):
        return self.conv(F.pad(x, (0, 1, 0, 1)) if self.pad else x)


class Upsample(nn.Module):
    """Double height and width by repeating pixels, then convolve.

    A 3x3 window of repeated pixels sees 2x2 different ones. On a CPU the taps that meet the same
    pixel are added up first, which leaves 4 products a pixel in place of 9: a transposed
    convolution with a 4x4 kernel.
    """
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x, emb, context=None):
        pays = x.device.type == "cpu" and x[:, 0].numel() >= FEW
        if not (pays and Shortcuts.allowed):
            return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        taps = TAPS.to(self.conv.weight)
        kernel = torch.einsum("ay,bx,oiyx->ioab", taps, taps, self.conv.weight)
        return F.conv_transpose2d(x, kernel, self.conv.bias, stride=2, padding=1)
