"Checkers of the interlude on model folders."

import json

import torch
from safetensors.torch import save

from ddpm_course.checks import Exercise
from ddpm_course.noising import cosine_schedule, linear_schedule


def _files():
    tensors = {"conv.weight": torch.zeros(8, 3, 3, 3), "conv.bias": torch.zeros(8), "half": torch.zeros(5, 7, dtype=torch.bfloat16)}
    return [(save(tensors),), (save(tensors, metadata={"made by": "hand"}),)]


def _entries(data):
    header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
    return [(torch.Size(e["shape"]), e["data_offsets"]) for name, e in header.items() if name != "__metadata__"]


count_parameters = Exercise(
    right=lambda data: sum(shape.numel() for shape, _ in _entries(data)),
    cases=_files,
    wrong={
        "this divides the size of the whole file by 4: the header is no weight, and not all numbers have 4 bytes": lambda data: len(data) // 4,
        "this counts bytes, the differences of data_offsets; a float32 has four of them, a bfloat16 two": lambda data: sum(b - a for _, (a, b) in _entries(data)),
        "this takes 4 bytes for every number; bfloat16 has two: go by the shapes": lambda data: sum(b - a for _, (a, b) in _entries(data)) // 4,
        "this counts tensors, not the numbers in them": lambda data: len(_entries(data)),
        "this adds the sides of each shape; multiply them": lambda data: sum(sum(shape) for shape, _ in _entries(data)),
    },
    praise="A header of a few kilobytes tells all about a file of many gigabytes.")

def _read(data, name, header=True, eight=8, shaped=True, transposed=False):
    length = int.from_bytes(data[:8], "little")
    entry = json.loads(data[8:8 + length])[name]
    begin, end = ((eight + length) * header + offset for offset in entry["data_offsets"])
    numbers = torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32)
    if transposed: return numbers.view(entry["shape"][::-1]).T
    return numbers.view(entry["shape"]) if shaped else numbers


def _tensors():
    data = save({"a": torch.arange(6.0).view(2, 3), "b": torch.arange(10.0, 22.0).view(3, 4)})
    return [(data, "a"), (data, "b")]


read_tensor = Exercise(
    right=_read,
    cases=_tensors,
    wrong={
        "this counts data_offsets from the start of the file; they count from the end of the header": lambda data, name: _read(data, name, header=False),
        "this forgets the eight bytes before the header": lambda data, name: _read(data, name, eight=0),
        "the numbers are right, but flat: give them the shape in the header": lambda data, name: _read(data, name, shaped=False),
        "the shape is filled column by column; numbers lie row by row": lambda data, name: _read(data, name, transposed=True),
    },
    praise="Twelve lines of any language can read your model.")


alpha_bars_in = Exercise(
    right=lambda betas, dtype: (1 - betas.to(dtype)).cumprod(0).double(),
    cases=lambda: [(linear_schedule().betas, torch.float16), (cosine_schedule(200).betas, torch.bfloat16)],
    wrong={
        "only the result was cast; the betas have to be in dtype before 1 - beta and the product": lambda betas, dtype: (1 - betas).cumprod(0).to(dtype).double(),
        "the betas were cast, but the arithmetic was done in float64": lambda betas, dtype: (1 - betas.to(dtype).double()).cumprod(0),
        "1 - beta was cast, but the product was taken in float64": lambda betas, dtype: (1 - betas.to(dtype)).double().cumprod(0),
        "nothing is in dtype here": lambda betas, dtype: (1 - betas).cumprod(0),
        "this multiplies the betas; alpha_bar is the product of 1 - beta": lambda betas, dtype: betas.to(dtype).cumprod(0).double(),
        "these are the alphas; alpha_bar is their running product": lambda betas, dtype: (1 - betas.to(dtype)).double(),
    },
    praise="A number next to 1 has no room for a small beta: keep schedules in float64, whatever the network runs in.", tol=1e-8)
