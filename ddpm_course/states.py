"What the files of a checkpoint may hold: checked whole before any of it is used."

import warnings

import torch
from safetensors import safe_open
from safetensors.torch import load_file

MOMENTS = {"exp_avg", "exp_avg_sq", "step"} # what AdamW keeps of each weight


def state_of(run):
    "The state of a run beside its weights, {name: tensor}."
    moments = run.optimizer.state_dict()["state"].items()
    state = {f"{i}.{name}": v.contiguous() for i, s in moments for name, v in s.items()}
    for name in ("losses", "norms"):
        state[name] = torch.tensor(getattr(run, name), dtype=torch.float64)
    return state | {f"memory:{name}": v.clone() for name, v in run.memory.items()}


def wrong_tensors(found, expected): # both {name: tensor}
    "What is wrong with tensors that should be like others, as a text; empty if nothing is."
    if lacks := sorted(expected.keys() - found.keys()): return f"it lacks {lacks[:3]}"
    if more := sorted(found.keys() - expected.keys()): return f"nothing is known of its {more[:3]}"
    for name, like in expected.items():
        got = found[name]
        if got.shape != like.shape or got.dtype != like.dtype:
            return (f"{name} is {got.dtype} {tuple(got.shape)}; expected {like.dtype} "
                    f"{tuple(like.shape)}")
        if got.is_floating_point() and not got.isfinite().all(): return f"{name} is not finite"
    return ""


def expected_state(state, run, step):
    "What the state of a run after `step` steps looks like; `state` names the weights."
    parameters = run.optimizer.param_groups[0]["params"]
    history = torch.empty(step, dtype=torch.float64)
    expected = {"losses": history, "norms": history}
    expected |= {f"memory:{name}": v for name, v in run.memory.items()}
    for i in {name.split(".")[0] for name in state if "." in name}: # a weight may be unused
        p = parameters[int(i)] if i.isdecimal() and int(i) < len(parameters) else None
        if p is None: continue # and so its name will not be known
        expected |= {f"{i}.exp_avg": p, f"{i}.exp_avg_sq": p, f"{i}.step": torch.tensor(0.0)}
    return expected


def read_state(file, run, step, moments=None): # of how many weights, where that is told
    "The training state of a run at a step; ValueError where it is none."
    state = load_file(file)
    wrong = wrong_tensors(state, expected_state(state, run, step))
    there = sum(name.endswith(".step") for name in state)
    if step and not there:
        warnings.warn(f"{file} holds no moments: the run goes on with a new optimizer",
                      stacklevel=5)
    elif moments not in (None, there):
        wrong = wrong or f"it has moments of {there} weights; expected {moments}"
    for name, value in state.items() if not wrong else ():
        if name.endswith(".exp_avg_sq") and (value < 0).any(): wrong = f"{name} is below 0"
        if name.endswith(".step") and not 1 <= value <= step: wrong = f"{name} is {value}"
    if wrong: raise ValueError(f"{file.name}: {wrong}")
    return state


def check_weights(file, model):
    "ValueError unless a safetensors file holds finite weights just like a model's."
    with safe_open(file, "pt") as f:
        names = f.keys()
        wrong = wrong_tensors({name: f.get_tensor(name) for name in names}, model.state_dict())
    if wrong: raise ValueError(f"{file.name}: {wrong}")


def put_state(run, state):
    "Losses, norms, step, moments and memory of a run, from a state that was checked."
    parameters = run.optimizer.param_groups[0]["params"]
    run.losses = state["losses"].tolist()
    run.norms = state["norms"].tolist()
    run.step = len(run.losses)
    for name, value in run.memory.items(): value.copy_(state[f"memory:{name}"])
    for key, value in state.items():
        if "." not in key: continue
        i, name = key.split(".")
        p = parameters[int(i)]
        like_p = name != "step" # moments lie in memory as p does; "step" is one number
        kept = torch.empty_like(p).copy_(value) if like_p else value.to(p.device, copy=True)
        run.optimizer.state[p][name] = kept # a copy: the file will be deleted
