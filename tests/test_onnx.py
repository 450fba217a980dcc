"Networks in ONNX: the same answers in onnxruntime, nothing rounded, nothing written that is wrong."

import json, sys
from pathlib import Path

import pytest
import torch

from ddpm_course import cli, onnx_interop
from ddpm_course.cifar import cifar_model
from ddpm_course.saving import save_model
from ddpm_course.shipped import load_shipped
from ddpm_course.unet import UNet

ON_THE_SITE = Path(__file__).parents[1] / "nbs" / "live" / "digits.onnx"
needed = [pytest.importorskip(name) for name in ("onnx", "onnxruntime", "onnxscript")]
onnx = needed[0]


def test_the_file_on_the_site_is_the_shipped_network():
    trained, data = load_shipped("digits"), ON_THE_SITE.read_bytes()
    assert len(data) <= 1.6e6
    assert onnx_interop.error_of(data, trained.model, trained.shape) <= 1e-5
    proto = onnx.load(ON_THE_SITE)
    assert json.loads(proto.metadata_props[0].value) == trained.config
    kinds = {w.data_type for w in proto.graph.initializer if len(w.raw_data) > 64}
    assert kinds == {onnx.TensorProto.FLOAT16}
    assert b"/site-packages/" not in data and b".py" not in data  # no stack traces


def test_the_graph_on_the_site_points_to_the_weights_beside_it():
    file = ON_THE_SITE.parents[1] / "results" / "cifar10-cpu" / "graph.onnx"
    assert file.stat().st_size < 2e5
    trained = cifar_model()
    inputs = onnx_interop.example(trained.model, trained.shape, 3)
    (out,) = needed[1].InferenceSession(file).run(None, {k: v.numpy() for k, v in inputs.items()})
    assert (torch.from_numpy(out) - trained.model(*inputs.values())).abs().max() < 1e-5
    config = json.loads(onnx.load(file, load_external_data=False).metadata_props[0].value)
    assert config == trained.config


def test_weights_that_half_precision_cannot_hold_are_left():
    weights = {"exact": [0.5, -3], "third": [1 / 3, 0], "large": [1e5, 1]}
    graph = onnx.helper.make_graph(
        [],
        "g",
        [],
        [],
        [
            onnx.numpy_helper.from_array(torch.tensor(v).float().numpy(), k)
            for k, v in weights.items()
        ],
    )
    proto = onnx.helper.make_model(graph)
    onnx_interop.halve_weights(proto)
    assert [w.name for w in proto.graph.initializer] == ["exact_half", "third", "large"]
    assert [(n.op_type, *n.input, *n.output) for n in proto.graph.node] == [
        ("Cast", "exact_half", "exact")
    ]


@pytest.fixture
def saved(tmp_path):
    "A model whose weights need float32, and its folder."
    torch.manual_seed(0)
    model = UNet(1, (8, 8), 1, (False, True), groups=4, num_classes=2, learn_variance=True)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)  # some are zero in a new one
    save_model(tmp_path / "model", model.eval(), ema=model, shape=(1, 4, 4))
    return model, tmp_path / "model"


@pytest.mark.parametrize("kind, out", [("onnx", "net.onnx"), ("onnx-graph", "model/graph.onnx")])
def test_a_model_folder_is_exported_by_the_command(saved, tmp_path, capsys, kind, out):
    model, folder = saved
    where = ["--out", str(tmp_path / out)] if kind == "onnx" else []
    cli.main(["export", str(folder), "--format", kind, *where])
    assert "from the network in onnxruntime" in capsys.readouterr().out
    session = needed[1].InferenceSession(tmp_path / out)
    assert [i.name for i in session.get_inputs()] == ["x_t", "t", "y"]
    x, t, y = torch.randn(5, 1, 4, 4), torch.tensor([0, 3.5, 999, 500, 1]), torch.arange(5) % 3
    (found,) = session.run(None, {"x_t": x.numpy(), "t": t.numpy(), "y": y.numpy()})
    assert found.shape == (5, 2, 4, 4)
    assert torch.allclose(torch.from_numpy(found), model(x, t, y), atol=1e-4, rtol=1e-4)
    weights = [*onnx.load(tmp_path / out, load_external_data=False).graph.initializer]
    inside = sum(len(w.raw_data) for w in weights if w.dims)
    held = sum(4 * p.numel() for p in model.parameters())
    assert inside < held / 20 if kind == "onnx-graph" else inside >= held


def test_a_file_that_answers_otherwise_is_not_written(tmp_path, monkeypatch):
    def wrong(model, shape):
        proto = onnx.load(ON_THE_SITE)
        weight = next(w for w in proto.graph.initializer if len(w.raw_data) > 64)
        array = onnx.numpy_helper.to_array(weight) * 1.01
        weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
        return proto

    monkeypatch.setattr(onnx_interop, "as_onnx", wrong)
    with pytest.raises(ValueError, match="answers otherwise, by .*; expected at most 1e-05"):
        onnx_interop.write_onnx(load_shipped("digits"), tmp_path / "net.onnx")
    assert not [*tmp_path.iterdir()]


def test_what_cannot_be_exported_is_said(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="--format tensorflow: expected one of diffusers, onnx, "):
        cli.main(["export", "digits", "--format", "tensorflow", "--out", str(tmp_path / "x")])
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(SystemExit, match=r"pip install 'ddpm_course\[onnx\]'"):
        cli.main(["export", "digits", "--format", "onnx", "--out", str(tmp_path / "x")])
    with pytest.raises(SystemExit, match="--steps: an ONNX file holds a network and no sampler"):
        cli.main(["export", "digits", "--format", "onnx", "--steps", "5"])
    with pytest.raises(
        SystemExit, match="beside the weights that it points to; expected a file in"
    ):
        out = str(tmp_path / "graph.onnx")
        cli.main(["export", "digits", "--format", "onnx-graph", "--out", out])
