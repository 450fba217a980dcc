"How many floating-point operations a network takes for one image, counted by PyTorch."

import torch
from torch.utils.flop_counter import FlopCounterMode

from .attention import attention_kernel, naive_attention
from .convolution import as_written
from .models import device_of


def forward_flops(net, # a network of this course
                  shape): # (C, H, W) of an image
    """Operations of a forward pass for one image: a multiplication and an addition are two.

    Products of matrices and convolutions are counted, those within attention too: it is computed by
    `naive_attention` meanwhile, for PyTorch counts no fused kernel of a CPU; convolutions count as
    they are written, also where a CPU computes them with fewer products. Papers often call a
    multiplication with its addition one operation; their figures are half of these.
    """
    device = device_of(net)
    zero = torch.zeros(1, dtype=torch.int64, device=device)
    labels = () if getattr(net, "num_classes", None) is None else [zero]
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), as_written(), attention_kernel(net, naive_attention), counter:
        net(torch.zeros(1, *shape, device=device), zero, *labels)
    return counter.get_total_flops()
