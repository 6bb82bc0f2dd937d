"""Records what torch's optimisers and transformers' schedules give, for src/optim/*.test.ts.

Run: python test/goldens/optim/record.py  (writes goldens.json beside itself; versions stand in the file)
Tolerance in the tests: 1 unit in the last place (of the larger of before and after) for optimisers, 1e-12 relative for schedules.
"""
import json
import pathlib

import numpy
import torch
import transformers
from transformers import get_scheduler

torch.set_num_threads(1)
numbers = numpy.random.default_rng(7)
SHAPES = [67, 3]
STEPS = 6


def flat(tensor):
    return [float(x) for x in tensor.detach().reshape(-1)]


def optimise(make, kwargs, lr=1e-2):
    starts = [numbers.standard_normal(n).astype("float32") for n in SHAPES]
    grads = [[(numbers.standard_normal(n) * 10.0 ** numbers.integers(-4, 1)).astype("float32") for n in SHAPES] for _ in range(STEPS)]
    parameters = [torch.nn.Parameter(torch.tensor(s)) for s in starts]
    optimiser = make(parameters, lr=lr, **kwargs)
    after = []
    for step in range(STEPS):
        for parameter, grad in zip(parameters, grads[step]):
            parameter.grad = torch.tensor(grad)
        for group in optimiser.param_groups:
            group["lr"] = lr * (1 - step / STEPS)
        optimiser.step()
        after.append([flat(p) for p in parameters])
    return {
        "options": kwargs,
        "lr": lr,
        "start": [[float(x) for x in s] for s in starts],
        "gradients": [[[float(x) for x in g] for g in step] for step in grads],
        "after": after,
    }


def clip():
    grads = [numbers.standard_normal(n).astype("float32") for n in SHAPES]
    parameters = [torch.nn.Parameter(torch.zeros(n)) for n in SHAPES]
    for parameter, grad in zip(parameters, grads):
        parameter.grad = torch.tensor(grad)
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, 1.0))
    return {"gradients": [[float(x) for x in g] for g in grads], "norm": norm, "clipped": [flat(p.grad) for p in parameters]}


def rates(name, warmup, total, lr=3e-4, **kwargs):
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = get_scheduler(name, optimiser, num_warmup_steps=warmup, num_training_steps=total, scheduler_specific_kwargs=kwargs)
    values = []
    for _ in range(total + 3):
        values.append(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()
    return {"name": name, "warmup": warmup, "total": total, "lr": lr, "kwargs": kwargs, "rates": values}


goldens = {
    "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "numpy": numpy.__version__},
    "adamw": [
        optimise(torch.optim.AdamW, {"weight_decay": 0.0}),
        optimise(torch.optim.AdamW, {"weight_decay": 0.1}),
        optimise(torch.optim.AdamW, {"weight_decay": 0.01, "betas": [0.85, 0.95], "eps": 1e-6}, lr=1e-3),
    ],
    "sgd": [
        optimise(torch.optim.SGD, {}),
        optimise(torch.optim.SGD, {"weight_decay": 0.1}),
        optimise(torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.01}),
        optimise(torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        optimise(torch.optim.SGD, {"momentum": 0.8, "dampening": 0.3}),
    ],
    "clip": clip(),
    "schedules": [
        rates("constant", 0, 10),
        rates("constant_with_warmup", 4, 12),
        rates("linear", 0, 11),
        rates("linear", 3, 17),
        rates("cosine", 0, 10),
        rates("cosine", 5, 23),
        rates("cosine", 2, 20, num_cycles=1.5),
        rates("cosine_with_restarts", 2, 20),
        rates("cosine_with_restarts", 2, 20, num_cycles=3),
        rates("polynomial", 3, 20),
        rates("polynomial", 0, 20, lr_end=1e-5, power=2.0),
        rates("inverse_sqrt", 5, 20),
        rates("inverse_sqrt", 0, 20),
        rates("inverse_sqrt", 4, 20, timescale=7),
        rates("cosine_with_min_lr", 3, 20, min_lr=1e-5),
        rates("cosine_with_min_lr", 0, 20, min_lr_rate=0.1),
        rates("warmup_stable_decay", 3, 20, num_decay_steps=6),
        rates("warmup_stable_decay", 3, 20, num_decay_steps=6, warmup_type="cosine", decay_type="1-sqrt", min_lr_ratio=0.1),
        rates("warmup_stable_decay", 4, 20, num_decay_steps=5, num_stable_steps=6, warmup_type="1-sqrt", decay_type="linear"),
    ],
    "warmup": [
        {"total": total, "steps": steps, "ratio": ratio, "expected": int(steps) if steps >= 1 else -int(-(total * (steps or ratio)) // 1)}
        for total, steps, ratio in [(100, 0, 0.03), (101, 0, 0.1), (10, 7, 0.5), (33, 0, 0), (33, 0.25, 0)]
    ],
}
path = pathlib.Path(__file__).parent / "goldens.json"
path.write_text(json.dumps(goldens, separators=(",", ":")) + "\n")
print(path, path.stat().st_size)
