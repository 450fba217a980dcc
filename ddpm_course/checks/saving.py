"Checkers of chapter 20."

import json

import torch
from safetensors.torch import save

from ddpm_course.checks import Exercise
from ddpm_course.noising import cosine_schedule, linear_schedule


def _files():
    tensors = {"conv.weight": torch.zeros(8, 3, 3, 3), "conv.bias": torch.zeros(8),
               "half": torch.zeros(5, 7, dtype=torch.bfloat16)}
    return [(save(tensors),), (save(tensors, metadata={"made by": "hand"}),)]


def _header(data): return json.loads(data[8:8 + int.from_bytes(data[:8], "little")])


def _entries(data):
    header = _header(data)
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
        "this counts tensors, not the numbers in them": lambda data: len(_entries(data)),
        "this counts the entries of the header, and not the numbers in them":
            lambda data: len(_header(data)),
        "this adds the sides of each shape; multiply them":
            lambda data: sum(sum(shape) for shape, _ in _entries(data)),
        "this counts the bytes of the header":
            lambda data: int.from_bytes(data[:8], "little"),
        "this is the number of one tensor; add up all of them":
            lambda data: _entries(data)[-1][0].numel(),
    },
    praise="A header of a few kilobytes tells all about a file of many gigabytes.")


def _read(data, name, header=True, eight=8, shaped=True, transposed=False, first=False):
    length = int.from_bytes(data[:8], "little")
    entry = json.loads(data[8:8 + length])[name]
    begin, end = ((eight + length) * header + offset for offset in entry["data_offsets"])
    if first: begin, end = 8 + length, 8 + length + end - begin
    numbers = torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32)
    if transposed: return numbers.view(entry["shape"][::-1]).T
    return numbers.view(entry["shape"]) if shaped else numbers


def _tensors():
    data = save({"a": torch.arange(6.0).view(2, 3), "b": torch.arange(10.0, 22.0).view(3, 4)})
    return [(data, "a"), (data, "b")]


def _to_the_end(data, name):
    start = 8 + int.from_bytes(data[:8], "little") + _header(data)[name]["data_offsets"][0]
    return torch.frombuffer(bytearray(data[start:]), dtype=torch.float32)


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
    },
    praise="Twelve lines of any language can read your model.")


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
        "1 - beta was computed in float64, and only then cast; cast the betas":
            lambda betas, dtype: (1 - betas).to(dtype).cumprod(0).double(),
        "nothing is in dtype here": lambda betas, dtype: (1 - betas).cumprod(0),
        "this multiplies the betas; alpha_bar is the product of 1 - beta":
            lambda betas, dtype: betas.to(dtype).cumprod(0).double(),
        "these are the alphas; alpha_bar is their running product":
            lambda betas, dtype: (1 - betas.to(dtype)).double(),
        "this is a running sum; alpha_bar is a running product":
            lambda betas, dtype: (1 - betas.to(dtype)).cumsum(0).double(),
    },
    praise="A number next to 1 has no room for a small beta: keep schedules in float64, "
           "whatever the network runs in.", tol=1e-8)


def _quantize(w, bits, most=None, nearest=torch.round, top=lambda w: w.abs().max()):
    most = 2**(bits - 1) - 1 if most is None else most
    step = top(w) / most
    return torch.where(step == 0, w, nearest(w / step) * step)


def _weights():
    g = torch.Generator().manual_seed(0)
    return [(torch.randn(6, 5, generator=g) - 0.3, 8), (torch.randn(40, generator=g) - 0.3, 4),
            (torch.zeros(3), 8)]


def _from_smallest(w, bits):
    step = (w.max() - w.min()) / (2**bits - 1)
    return torch.where(step == 0, w, ((w - w.min()) / step).round() * step + w.min())


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
        "nothing is rounded here": lambda w, bits: w.clone(),
    },
    praise="One number for the step and a few bits a weight: that is how large models are shipped.")
