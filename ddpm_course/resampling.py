"Half the height and width, and twice: what U-Nets and autoencoders go down and up with."

import torch.nn.functional as F
from torch import nn


class Downsample(nn.Module):
    "Halve height and width with a strided convolution."
    def __init__(self, channels, padding=0): # 0: one row and column, at the bottom and right
        super().__init__()
        self.pad = padding == 0
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=padding)

    def forward(self, x, emb, context=None):
        return self.conv(F.pad(x, (0, 1, 0, 1)) if self.pad else x)


class Upsample(nn.Module):
    "Double height and width by repeating pixels, then convolve."
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x, emb, context=None):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
