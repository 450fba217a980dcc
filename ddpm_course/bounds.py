"What functions of the variational bound look at before they compute."

import torch

from .arguments import check_rows
from .importance import ImportanceSampler
from .kinds import amount, an_instance, clean_images, number, optional, tensor, timestep


def numbers(value, name):
    "The kind of tensors of floats of any shape, or one number."
    if isinstance(value, torch.Tensor): return tensor(like=None)(value, name)
    return number(expected="a tensor of floats, or one number")(value, name)


def variance_channels(value, name):
    "The kind of outputs that choose a variance; a model without them gives None."
    if value is None:
        raise ValueError(f"{name}=None: this model has no variance channels; build it with "
                         "learn_variance=True, or use variance='small' or 'large'")
    return tensor("(B, C, H, W)")(value, name)


def terms_of_images(value, name):
    "The kind of terms of the bound, of at least two images: of one there is no standard error."
    if len(tensor("(B, n + 1)", finite=True)(value, name)) > 1: return value
    raise ValueError(f"{name}: got {len(value)} images; expected at least 2 images, for a standard "
                     "error; terms.sum(1) is the bound of each")


BOUND = { # what arguments of the bound and its terms are
    "prev": timestep, "var_out": variance_channels, "error": numbers, "bound": amount,
    "terms": terms_of_images, "x0": clean_images,
    "importance": optional(an_instance(ImportanceSampler)),
    **dict.fromkeys(["mean", "var", "mean1", "var1", "mean2", "var2"], numbers)}


def as_step(t, prev):
    "t and an earlier timestep, t - 1 if None, as int64 tensors; ValueError unless it is earlier."
    t = torch.as_tensor(t)
    if prev is None: return t, t - 1
    prev = torch.as_tensor(prev)
    if t.ndim: check_rows(prev, t, "prev")
    if t.device.type == "cpu" and (late := prev >= t).any(): # a GPU would have to wait
        t, prev = (x.expand_as(late)[late][0].item() for x in (t, prev))
        raise ValueError(f"prev={prev}; expected an earlier timestep than t={t}")
    return t, prev


def check_gray(x0, levels):
    "ValueError unless the pixels lie on the gray levels, to a tenth of a step."
    steps = (x0 + 1) * levels / 2
    if not ((steps - steps.round()).abs() < 0.1).all():
        raise ValueError(f"x0 has values between the gray levels of levels={levels}; "
                         "expected those of the data set (data.levels), in [-1, 1]")
