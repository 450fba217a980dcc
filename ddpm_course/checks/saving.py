"Checkers of chapter 20."

import json
import math

import torch
from safetensors.torch import save

from ddpm_course.checks import Exercise
from ddpm_course.noising import cosine_schedule, linear_schedule


def _files():
    tensors = {"conv.weight": torch.zeros(8, 3, 3, 3), "conv.bias": torch.zeros(8),
               "half": torch.zeros(5, 8, dtype=torch.bfloat16)}
    return [(save(tensors),), (save(tensors, metadata={"made by": "hand, " * 20}),),
            (_longer(save(tensors)),), (save({"none": torch.zeros(0)}),)]


def _longer(data, spaces=16):
    "The same file with spaces at the end of its header, which the format allows."
    start = 8 + int.from_bytes(data[:8], "little")
    return (start - 8 + spaces).to_bytes(8, "little") + data[8:start] + b" " * spaces + data[start:]


def _header(data, begin=8, order="little"):
    return json.loads(data[8:begin + int.from_bytes(data[:8], order)])


def _entries(data, **options):
    header = _header(data, **options)
    return [(torch.Size(header[name]["shape"]), header[name]["data_offsets"])
            for name in header if name != "__metadata__"]


def _bytes(data): return sum(end - begin for _, (begin, end) in _entries(data))


count_parameters = Exercise(
    right=lambda data: sum(shape.numel() for shape, _ in _entries(data)),
    cases=_files,
    wrong={
        "this divides the size of the whole file by 4: the header is no weight, and not all "
        "numbers have 4 bytes": lambda data: len(data) // 4,
        "this counts bytes, the differences of data_offsets; a float32 has four of them, a "
        "bfloat16 two": _bytes,
        "this takes 4 bytes for every number; bfloat16 has two: go by the shapes":
            lambda data: _bytes(data) // 4,
        "this takes 2 bytes for every number; float32 has four: go by the shapes":
            lambda data: _bytes(data) // 2,
        "the tensors' numbers add up; this multiplies them":
            lambda data: math.prod(shape.numel() for shape, _ in _entries(data)),
        "this counts tensors, not the numbers in them": lambda data: len(_entries(data)),
        "this counts the entries of the header, and not the numbers in them":
            lambda data: len(_header(data)),
        "this adds the sides of each shape; multiply them":
            lambda data: sum(sum(shape) for shape, _ in _entries(data)),
        "this counts the bytes of the header":
            lambda data: int.from_bytes(data[:8], "little"),
        "this is the number of the last tensor; add up all of them":
            lambda data: _entries(data)[-1][0].numel(),
        "this is the number of the first tensor, as if the loop returned at once; add up all":
            lambda data: _entries(data)[0][0].numel(),
        "the eight bytes of the length are no part of it: the header ends at 8 + length":
            lambda data: sum(shape.numel() for shape, _ in _entries(data, begin=0)),
        "this takes the numbers after the header for JSON as well: the header ends at 8 + length, "
        "and the length is little-endian, int.from_bytes(..., \"little\")":
            lambda data: sum(shape.numel() for shape, _ in _entries(data, order="big")),
        "this is the number of the largest tensor; add up all of them":
            lambda data: max(shape.numel() for shape, _ in _entries(data)),
        "this counts float32 numbers alone; the other dtypes count as well":
            lambda data: sum((end - begin) // 4 for shape, (begin, end) in _entries(data)
                             if end - begin == 4 * shape.numel()),
        "the first entry of the header is left out, whatever it is; leave out __metadata__ alone":
            lambda data: sum(shape.numel() for shape, _ in _entries(data)[
                "__metadata__" not in _header(data):]),
        "this counts the dimensions of the tensors, and not their numbers":
            lambda data: sum(len(shape) for shape, _ in _entries(data)),
        "this takes the first side of each shape; multiply all of them":
            lambda data: sum(shape[0] for shape, _ in _entries(data)),
        "the entry __metadata__ has no shape; leave it out":
            lambda data: sum(math.prod(entry["shape"]) for entry in _header(data).values()),
        "the entry __metadata__ holds no tensor, and counts as one number here; leave it out":
            lambda data: sum(math.prod(e.get("shape", [])) for e in _header(data).values()),
    },
    praise="A header of a few kilobytes tells all about a file of many gigabytes.")


def _read(data, name, header=True, eight=8, shaped=True, transposed=False, first=False,
          sized=False, offset=0):
    length = int.from_bytes(data[:8], "little")
    entry = json.loads(data[8:8 + length])[name]
    start = (eight + length) * header + offset
    begin, end = (start + place for place in entry["data_offsets"])
    if sized: end = begin + entry["data_offsets"][1]
    if first: begin, end = 8 + length, 8 + length + end - begin
    numbers = torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32)
    if transposed: return numbers.view(entry["shape"][::-1]).T
    return numbers.view(entry["shape"]) if shaped else numbers


def _tensors():
    data = save({name: torch.arange(i, i + rows * 4.0).view(rows, 4)
                 for i, (name, rows) in enumerate({"a": 2, "b": 3, "c": 5}.items())})
    return [(data, "a"), (data, "b"), (data, "c")]


def _to_the_end(data, name, shaped=False):
    entry = _header(data)[name]
    start = 8 + int.from_bytes(data[:8], "little") + entry["data_offsets"][0]
    numbers = torch.frombuffer(bytearray(data[start:]), dtype=torch.float32)
    return numbers.view(entry["shape"]) if shaped else numbers


read_tensor = Exercise(
    right=_read,
    cases=_tensors,
    wrong={
        "this counts data_offsets from the start of the file; they count from the end of the "
        "header": lambda data, name: _read(data, name, header=False),
        "this forgets the eight bytes before the header":
            lambda data, name: _read(data, name, eight=0),
        "the numbers are right, but flat: give them the shape in the header":
            lambda data, name: _read(data, name, shaped=False),
        "the shape is filled column by column; numbers lie row by row":
            lambda data, name: _read(data, name, transposed=True),
        "this reads from the end of the header, whichever tensor was asked for: add the first "
        "of its data_offsets": lambda data, name: _read(data, name, first=True),
        "this reads on to the end of the file: stop at the second of the data_offsets":
            _to_the_end,
        "this reads on to the end of the file, which holds more numbers than the shape: stop at "
        "the second of the data_offsets": lambda data, name: _to_the_end(data, name, shaped=True),
        "these are the bits of the numbers, read as whole numbers; the dtype is float32":
            lambda data, name: _read(data, name).view(torch.int32),
        "the second of the data_offsets is an end, not a length: read from the first to it":
            lambda data, name: _read(data, name, sized=True),
        "the bytes of each number are in the opposite order here; safetensors is little-endian":
            lambda data, name: torch.from_numpy(_read(data, name).numpy().byteswap()),
        "this reads the first tensor of the file, whatever its name is":
            lambda data, name: _read(data, next(n for n in _header(data) if n != "__metadata__")),
        "this adds 8 to the data_offsets, and not the length of the header that follows":
            lambda data, name: _read(data, name, header=False, offset=8),
    },
    praise="Twelve lines of any language can read your model.", dtype=torch.float32)


def _looped(betas, dtype):
    products = [torch.ones((), dtype=dtype)]
    for alpha in 1 - betas.to(dtype): products.append(products[-1] * alpha)
    return torch.stack(products[1:]).double()


alpha_bars_in = Exercise(
    right=lambda betas, dtype: (1 - betas.to(dtype)).cumprod(0).double(),
    cases=lambda: [(linear_schedule().betas, torch.float16),
                   (cosine_schedule(200).betas, torch.bfloat16)],
    wrong={
        "only the result was cast; the betas have to be in dtype before 1 - beta and the "
        "product": lambda betas, dtype: (1 - betas).cumprod(0).to(dtype).double(),
        "the betas were cast, but the arithmetic was done in float64":
            lambda betas, dtype: (1 - betas.to(dtype).double()).cumprod(0),
        "1 - beta was cast, but the product was taken in float64":
            lambda betas, dtype: (1 - betas.to(dtype)).double().cumprod(0),
        "this is 1 - alpha_bar, the noise": lambda betas, dtype:
            (1 - (1 - betas.to(dtype)).cumprod(0)).double(),
        "this is 1 minus the sum of the betas; alpha_bar is the product of 1 - beta":
            lambda betas, dtype: (1 - betas.to(dtype).cumsum(0)).double(),
        "alpha_bar is the product of 1 - beta, without a root":
            lambda betas, dtype: (1 - betas.to(dtype)).cumprod(0).sqrt().double(),
        "this is float16 whatever dtype is; cast to dtype":
            lambda betas, dtype: (1 - betas.half()).cumprod(0).double(),
        "this is bfloat16 whatever dtype is; cast to dtype":
            lambda betas, dtype: (1 - betas.bfloat16()).cumprod(0).double(),
        "the product is of 1 - beta; this is 1 minus the product of the betas":
            lambda betas, dtype: (1 - betas.to(dtype).cumprod(0)).double(),
        "this loop rounds the running product to dtype as well, which cumprod does not":
            _looped,
        "1 - beta was computed in float64, and only then cast; cast the betas":
            lambda betas, dtype: (1 - betas).to(dtype).cumprod(0).double(),
        "nothing is in dtype here": lambda betas, dtype: (1 - betas).cumprod(0),
        "this multiplies the betas; alpha_bar is the product of 1 - beta":
            lambda betas, dtype: betas.to(dtype).cumprod(0).double(),
        "a sum of logarithms is rounded otherwise than a product; take cumprod":
            lambda betas, dtype: (1 - betas.to(dtype)).log().cumsum(0).exp().double(),
        "this is the product of all; cumprod keeps every step of it":
            lambda betas, dtype: (1 - betas.to(dtype)).prod(0).double(),
        "these are the alphas; alpha_bar is their running product":
            lambda betas, dtype: (1 - betas.to(dtype)).double(),
        "this is a running sum; alpha_bar is a running product":
            lambda betas, dtype: (1 - betas.to(dtype)).cumsum(0).double(),
    },
    praise="A number next to 1 has no room for a small beta: keep schedules in float64, "
           "whatever the network runs in.", tol=1e-8, dtype=torch.float64)


def _quantize(w, bits, most=None, nearest=torch.round, top=lambda w: w.abs().max()):
    most = 2**(bits - 1) - 1 if most is None else most
    step = top(w) / most
    return torch.where(step == 0, w, nearest(w / step) * step)


def _weights():
    g = torch.Generator().manual_seed(0)
    return [(torch.randn(6, 5, generator=g) - 0.3, 8), (torch.randn(40, generator=g) - 0.3, 4),
            (torch.zeros(3), 8), (torch.randn(4, 5, generator=g) - 0.3, 11)]


def _from_smallest(w, bits):
    step = (w.max() - w.min()) / (2**bits - 1)
    return torch.where(step == 0, w, ((w - w.min()) / step).round() * step + w.min())


def _floored(w, bits):
    step = w.abs().max() / (2**(bits - 1) - 1)
    return w if step == 0 else w // step * step


def _times(w, step): return torch.where(step == 0, w, (w * step).round() / step)


def _rows(w): return w.abs().amax(-1, keepdim=True)


quantize = Exercise(
    right=_quantize,
    cases=_weights,
    wrong={
        "these are the whole numbers; multiply them by the size of a step again":
            lambda w, bits: (w / (w.abs().max() / (2**(bits - 1) - 1)).clamp_min(1e-12)).round(),
        "the zero tensor becomes NaN, by 0 / 0; let it be as it is": lambda w, bits:
            (w * (2**(bits - 1) - 1) / w.abs().max()).round() * w.abs().max() / (2**(bits - 1) - 1),
        "this cuts the fraction off; take the nearest whole number":
            lambda w, bits: _quantize(w, bits, nearest=torch.trunc),
        "this rounds down; take the nearest whole number":
            lambda w, bits: _quantize(w, bits, nearest=torch.floor),
        "this takes the largest weight; a negative one may be larger in size: take abs first":
            lambda w, bits: _quantize(w, bits, top=lambda w: w.max()),
        "the whole numbers go to 2^(bits-1) here; with bits bits the largest is one less":
            lambda w, bits: _quantize(w, bits, 2**(bits - 1)),
        "this spends all bits on one side, 2^bits - 1; half of the numbers are negative":
            lambda w, bits: _quantize(w, bits, 2**bits - 1),
        "2^bits steps lie on each side here; half of the numbers are negative":
            lambda w, bits: _quantize(w, bits, 2**bits),
        "this spreads the steps from the smallest weight to the largest; zero is then no "
        "multiple of a step, so that even weights of 0 move": _from_smallest,
        "each row has a step of its own here; take one for the whole tensor":
            lambda w, bits: _quantize(w, bits, top=_rows),
        "w // s rounds down; take the nearest whole number": _floored,
        "2**bits - 1 - 1 lacks the brackets of 2**(bits - 1) - 1":
            lambda w, bits: _quantize(w, bits, 2**bits - 2),
        "this rounds up; take the nearest whole number":
            lambda w, bits: _quantize(w, bits, nearest=torch.ceil),
        "this rounds w times the step; divide by the step before the rounding, multiply after it":
            lambda w, bits: _times(w, w.abs().max() / (2**(bits - 1) - 1)),
        "the largest size sets the step; this takes the mean size":
            lambda w, bits: _quantize(w, bits, top=lambda w: w.abs().mean()),
        "the step is the largest size over q; here it is the largest size":
            lambda w, bits: _quantize(w, bits, 1),
        "the whole numbers go from -q to q; here those below 0 are lost":
            lambda w, bits: _quantize(w, bits).clamp_min(0),
        "each column has a step of its own here; take one for the whole tensor":
            lambda w, bits: _quantize(w, bits, top=lambda w: w.abs().amax(0, keepdim=True)),
        "this rounds the weights themselves; divide them by the size of a step first":
            lambda w, bits: w.round(),
        "the step is the largest size over q; this divides the range, from the smallest weight to "
        "the largest": lambda w, bits:
            _quantize(w, bits, 2**bits - 1, top=lambda w: w.max() - w.min()),
        "the whole numbers go to 2^(bits - 1) - 1; int8 holds no more than 127":
            lambda w, bits: _quantize(w, bits, nearest=lambda x: x.round().to(torch.int8)),
        "the largest whole number is 2^(bits - 1) - 1; here it is bits - 1":
            lambda w, bits: _quantize(w, bits, bits - 1),
        "the step is the largest size over q; this takes the range, from the smallest weight to "
        "the largest, over q": lambda w, bits: _quantize(w, bits, top=lambda w: w.max() - w.min()),
        "this rounds to so many decimal digits; divide by the size of a step, and round to whole "
        "numbers": lambda w, bits: w.round(decimals=bits),
        "nothing is rounded here": lambda w, bits: w.clone(),
    },
    praise="One number for the step and a few bits a weight: that is how large models are shipped.",
    keeps_inputs=True)
