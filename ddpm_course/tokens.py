"Layers for tokens, in the form that a CPU computes fastest."

import torch
import torch.nn.functional as F
from torch import nn

SQUARE = 8 # tokens in a row of what the convolution takes for an image
LARGE = 2**19 # numbers in or out, whichever are fewer: below, the product is as fast


class TokenLinear(nn.Linear):
    """`nn.Linear` for tokens (B, N, D), N each image's own; the same numbers, to rounding.

    A linear layer at each token is a 1x1 convolution. On a CPU torch leaves products of float32
    matrices to MKL and convolutions to oneDNN, which was the faster of the two for many tokens,
    with images of 8x8 of them.
    """
    def forward(self, x):
        small = x.shape[:-1].numel() * min(self.weight.shape) < LARGE
        if small or x.device.type != "cpu" or x.dtype != torch.float32 or x.shape[-2] % SQUARE**2:
            return super().forward(x)
        images = x.reshape(-1, SQUARE, SQUARE, x.shape[-1]).permute(0, 3, 1, 2)
        y = F.conv2d(images, self.weight[..., None, None], self.bias)
        return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


def gelu(h): # any shape; written to where no gradient is asked for
    "DiT's activation, GELU by way of tanh (Hendrycks & Gimpel 2016, section 2)."
    activate = torch.ops.aten.gelu if torch.is_grad_enabled() else torch.ops.aten.gelu_
    return activate(h, approximate="tanh")
