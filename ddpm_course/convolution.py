"A 3x3 convolution that takes six products where the plain one takes twelve, on a CPU."

from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.grad import conv2d_weight

WIDE = 128 # channels in and out from which on it pays
MANY = 2048 # pixels of a batch, likewise


class Shortcuts:
    "Whether layers may compute their convolutions with fewer products than these are written with."
    allowed = True


@contextmanager
def as_written():
    "Convolutions as they are written, meanwhile: for counting what a network takes."
    before, Shortcuts.allowed = Shortcuts.allowed, False
    try: yield
    finally: Shortcuts.allowed = before


class Conv3x3(nn.Conv2d):
    """`nn.Conv2d` with a 3x3 kernel that keeps height and width; the same numbers, to rounding.

    A column (a, b, c) of the kernel and rows d0..d5 of an image give four rows of the output,
    a d0 + b d1 + c d2 and so on: twelve products. They are the coefficients of a product of
    polynomials, which its values at 1, -1, 2, -2, 0 and infinity say as well: six products, of
    sums (Winograd 1980; Lavin & Gray 2016, F(4, 3), in one direction). Float32 images on a CPU are
    convolved so where they are large, their height is a multiple of 4, and they lie with channels
    last; under a transform of torch.func they are not.
    """
    def __init__(self, c_in, c_out):
        super().__init__(c_in, c_out, 3, padding=1)

    def forward(self, x):
        if not pays(x, self.weight): return super().forward(x)
        return convolve(x, self.weight, self.bias)


def pays(x, w): # (B, c_in, H, W), (c_out, c_in, 3, 3)
    "Whether `convolve` is faster here than the plain convolution, and may be taken."
    large = min(w.shape[:2]) >= WIDE and x[:, 0].numel() >= MANY and x.shape[2] % 4 == 0
    fits = x.device.type == "cpu" and x.dtype == w.dtype == torch.float32 and x.stride(1) == 1
    other = (torch.is_autocast_enabled("cpu") or torch.jit.is_tracing()
             or torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active())
    return Shortcuts.allowed and large and fits and not other


def rows_in(x): # (B, c, H, W)
    """Of each six rows, the sums to multiply, one after the other: 6 of (B, c, H/4, W).

    Six rows begin with the last one of the four before, and end with the first of the next."""
    d1, d2, d3, d4 = x.permute(0, 2, 3, 1).unflatten(1, (-1, 4)).unbind(2)
    even = torch.sub(d4, d2, alpha=4)
    odd = torch.sub(d3, d1, alpha=4)
    yield (even + odd).permute(0, 3, 1, 2)
    yield (even - odd).permute(0, 3, 1, 2)
    torch.sub(d4, d2, out=even)
    torch.sub(d3, d1, out=odd)
    yield torch.add(even, odd, alpha=2).permute(0, 3, 1, 2)
    yield torch.sub(even, odd, alpha=2).permute(0, 3, 1, 2)
    even.sub_(d2, alpha=4)[:, 1:].add_(d4[:, :-1], alpha=4) # 4 d0 - 5 d2 + d4
    yield even.permute(0, 3, 1, 2)
    odd.mul_(-4).sub_(d3)[:, :-1].add_(d1[:, 1:]) # 4 d1 - 5 d3 + d5
    yield odd.permute(0, 3, 1, 2)


def taps_in(w): # (c_out, c_in, 3, 3)
    "Of each column (a, b, c), the sums to multiply: 6 of (c_out, c_in, 1, 3)."
    a, b, c = w.unbind(2)
    one = (a + c) / -6
    two = torch.add(a, c, alpha=4) / 24
    sums = one - b / 6, one + b / 6, two + b / 12, two - b / 12, a / 4, c
    return [u.unsqueeze(2) for u in sums]


def rows_out(products, bias): # 6 of (B, c, H/4, W), one after the other, (c,) or None
    "The rows of the output, four of each six products: (B, c, H, W), channels last."
    m1, m2 = (next(products) for _ in range(2))
    B, c, quarter, W = m1.shape
    y = torch.empty((B, c, 4 * quarter, W), memory_format=torch.channels_last)
    y0, y1, y2, y3 = y.unflatten(2, (-1, 4)).unbind(3)
    torch.add(m1, m2, out=y0)
    torch.sub(m1, m2, out=y1)
    y2.copy_(y0)
    y3.copy_(y1)
    del m1, m2 # a product is added to all rows that it is in, and let go
    m3, m4 = (next(products) for _ in range(2))
    m3 += m4 # the sum
    y0 += m3
    y2.add_(m3, alpha=4)
    m3.sub_(m4, alpha=2) # the difference
    y1.add_(m3, alpha=2)
    y3.add_(m3, alpha=8)
    del m3, m4
    y0 += next(products)
    y3 += next(products)
    return y if bias is None else y.add_(bias[:, None, None])


def products_gradient(g): # of the output, (B, c, H, W)
    "What `rows_out` makes of the output's gradient, backwards: 6 of (B, c, H/4, W)."
    y0, y1, y2, y3 = g.permute(0, 2, 3, 1).unflatten(1, (-1, 4)).unbind(2)
    even = y0 + y2
    odd = y1 + y3
    yield (even + odd).permute(0, 3, 1, 2)
    yield (even - odd).permute(0, 3, 1, 2)
    torch.add(y0, y2, alpha=4, out=even)
    torch.add(y1, y3, alpha=4, out=odd)
    yield torch.add(even, odd, alpha=2).permute(0, 3, 1, 2)
    yield torch.sub(even, odd, alpha=2).permute(0, 3, 1, 2)
    yield y0.contiguous().permute(0, 3, 1, 2)
    yield y3.contiguous().permute(0, 3, 1, 2)


def taps_gradient(x, shape, g): # (B, c_in, H, W), of the kernel, (B, c_out, H, W)
    "The kernel's gradient of the output's, g, by as few products."
    column = (*shape[:2], 1, 3)
    u1, u2, u3, u4, u0, u5 = (conv2d_weight(v, column, m, padding=(0, 1)).squeeze(2)
                              for v, m in zip(rows_in(x), products_gradient(g)))
    one = (u1 + u2) / -6
    two = (u3 + u4) / 24
    between = (u2 - u1) / 6 + (u3 - u4) / 12
    return torch.stack([u0 / 4 + one + two, between, torch.add(one, two, alpha=4).add_(u5)], 2)


class Kept(torch.autograd.Function):
    """x and w as they are, kept for `FourRows`.

    What computes again in place of keeping (`memory.recompute`) stops when it has what was kept
    last: so that this is not the product, something before it is to keep what the product needs."""
    @staticmethod
    def forward(ctx, held, x, w): # a list, to which this node of the graph is added
        ctx.save_for_backward(x, w)
        held.append(ctx)
        given = x.view_as(x), w.view_as(w)
        needed = ctx.needs_input_grad[1:]
        ctx.mark_non_differentiable(*(t for t, is_needed in zip(given, needed) if not is_needed))
        return given

    @staticmethod
    def backward(ctx, dx, dw): return None, dx, dw


class FourRows(torch.autograd.Function):
    "The convolution of `Conv3x3`, and its gradients with as few products."
    @staticmethod
    def forward(ctx, held, x, w, bias): # held: has the node of `Kept` that x and w come from
        ctx.held = held
        products = (F.conv2d(v, u, padding=(0, 1)) for v, u in zip(rows_in(x), taps_in(w)))
        return rows_out(products, bias)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.held[0].saved_tensors
        _, by_x, by_w, by_bias = ctx.needs_input_grad
        # a gradient of the gradient is left to the plain convolution
        to_w = partial(conv2d_weight, padding=1) if torch.is_grad_enabled() else taps_gradient
        dw = to_w(x, w.shape, g) if by_w else None # first: while it is made, dx need not be there
        dx = convolve(g, w.flip(2, 3).transpose(0, 1)) if by_x else None
        return None, dx, dw, g.sum((0, 2, 3)) if by_bias else None


def convolve(x, w, bias=None): # (B, c_in, H, W), (c_out, c_in, 3, 3), (c_out,)
    "The convolution that keeps H and W, by `FourRows`: (B, c_out, H, W)."
    held = []
    return FourRows.apply(held, *Kept.apply(held, x, w), bias)
