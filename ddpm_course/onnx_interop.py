"A network as an ONNX file, which runs where there is no Python: in a browser, on a phone."

import json
from pathlib import Path

import numpy as np
import torch

from .arguments import checked
from .disk import atomic_file
from .interop import from_extra
from .kinds import a_path, having, optional
from .models import predicts_of, said_by

TOLERANCE = 1e-5 # between the network and its file, for predictions whose size is about 1


def example(model, shape, n, seed=0):
    "Inputs by name, for n images of noise (n, C, H, W): x_t, t, and y where there are classes."
    rng = torch.Generator().manual_seed(seed)
    inputs = {"x_t": torch.randn(n, *shape, generator=rng),
              "t": 999 * torch.rand(n, generator=rng)}
    classes = said_by(model, "num_classes")
    if classes is None: return inputs
    return inputs | {"y": torch.randint(classes + 1, (n,), generator=rng)}


def as_onnx(model, shape):
    "The network as an ONNX model of any number of images, without a word about this machine."
    from_extra("onnxscript", "onnx")
    inputs = example(model, shape, 3)
    given = tuple(inputs.values())
    sizes = ({0: torch.export.Dim.AUTO},) * len(inputs)
    with torch.no_grad(): # strict: else checks such as len(t) == len(x) fix the number of images
        graph = torch.export.export(model, given, dynamic_shapes=sizes, strict=True)
    proto = torch.onnx.export(graph, dynamo=True, verbose=False, input_names=[*inputs],
                              output_names=["out"]).model_proto
    for node in proto.graph.node: node.ClearField("metadata_props") # it holds stack traces
    del proto.graph.value_info[:]
    return proto


def halve_weights(proto):
    "Store weights in half precision where it holds them exactly; a Cast makes them float32 again."
    onnx = from_extra("onnx", "onnx")
    casts = []
    for weight in proto.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        with np.errstate(over="ignore"): half = values.astype("float16")
        if values.dtype != "float32" or (half != values).any(): continue
        name = weight.name
        weight.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}_half"))
        to = onnx.TensorProto.FLOAT
        casts.append(onnx.helper.make_node("Cast", [weight.name], [name], to=to))
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def point_to(proto, file):
    "Leave out the weights that a safetensors file holds byte for byte, and point to them there."
    external = from_extra("onnx", "onnx").TensorProto.EXTERNAL
    data = file.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little") # the length of the header, and the header
    header = json.loads(data[8:start])
    for weight in proto.graph.initializer:
        held = header.get(weight.name.removesuffix("_half"))
        if held is None: continue
        begin, end = (start + at for at in held["data_offsets"])
        if data[begin:end] != weight.raw_data: continue
        weight.ClearField("raw_data")
        weight.data_location = external
        for key, value in {"location": file.name, "offset": begin, "length": end - begin}.items():
            weight.external_data.add(key=key, value=str(value))


def error_of(data, model, shape):
    "The largest difference between the network and its file, in onnxruntime, for 1 and 10 images."
    session = from_extra("onnxruntime", "onnx").InferenceSession(data)
    worst = 0.0
    for n in (1, 10):
        inputs = example(model, shape, n, seed=n)
        with torch.no_grad(): expected = model(*inputs.values())
        out, = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        worst = max(worst, (torch.from_numpy(out) - expected).abs().max().item())
    return worst


@checked(trained=having("model", "shape", "config", what="a Trained, as load_model gives"),
         file=a_path, weights=optional(a_path))
def write_onnx(trained, # `Trained`: a network of images, as `load_model` gives
               file, # where; it appears whole, and only if it computes what the network does
               weights=None): # its safetensors, to point to from beside it; None: in the file
    "Write a network as ONNX: x_t (B, C, H, W), t (B,) and y (B,) in, its prediction out."
    model = trained.model.float()
    shape = trained.shape
    predicts_of(model)
    if shape is None: raise ValueError("trained: its folder does not say the shape of its images")
    proto = as_onnx(model, shape)
    halve_weights(proto)
    proto.metadata_props.add(key="config", value=json.dumps(trained.config)) # config.json
    data = proto.SerializeToString()
    worst = error_of(data, model, shape)
    if not worst <= TOLERANCE:
        raise ValueError(f"in onnxruntime the network answers otherwise, by {worst:.2g}; expected "
                         f"at most {TOLERANCE:g}")
    if weights is not None:
        point_to(proto, weights)
        data = proto.SerializeToString()
    with atomic_file(Path(file)) as new: new.write_bytes(data)
    return f"{file}: {len(data):,} bytes, at most {worst:.1g} from the network in onnxruntime"
