"""Are the references of reference_models.py what their publishers' own code computes?

    python bench/parity/published_code.py --code FOLDER --case CASE [CASE ...]

FOLDER holds modeling_*.py and configuration_*.py as they stand beside the weights of the family (they are not part of this
repository: bench/README.md says where they were found). The published class gets the generated weights of a recorded case;
its logits are compared with the golden, and the gradients of all its parameters with those of our reference. The files were
written for transformers 4: 4.41 runs them all. Prints one JSON object a case; exit 1 where a difference exceeds the tolerance.
"""
import argparse
import base64
import importlib
import json
import pathlib
import sys
import types
import warnings

import numpy as np
import torch
import torch.nn.functional as F
import transformers

from reference_models import reference_model
from tiny_model import weight

IGNORED = -100
LIMITS = {"logits": 1e-4, "gradients": 1e-4}


def published_class(folder):
    """The model class and the config class of a folder's files."""
    sys.path.insert(0, str(folder.parent))
    # Baichuan 7B asks for xformers, but computes with it in training only
    sys.modules.setdefault("xformers", types.ModuleType("xformers")).ops = None
    modules = {}
    for kind in ("configuration", "modeling"):
        file = next(f for f in sorted(folder.glob(f"{kind}_*.py")))
        modules[kind] = importlib.import_module(f"{folder.name}.{file.stem}")
    ends = ("ForCausalLM", "ForConditionalGeneration")
    own = [v for k, v in vars(modules["modeling"]).items() if k.endswith(ends) and v.__module__ == modules["modeling"].__name__]
    config = [v for k, v in vars(modules["configuration"]).items() if k.endswith("Config") and k != "PretrainedConfig"]
    return own[0], config[0]


def loss(logits_of, rows):
    total, count = 0, 0
    for row in rows:
        labels = torch.tensor(row["labels"][1:])
        total = total + F.cross_entropy(logits_of(row["ids"])[:-1], labels, ignore_index=IGNORED, reduction="sum")
        count += int((labels != IGNORED).sum())
    return total / count


def gradients(model, logits_of, rows):
    model.zero_grad()
    loss(logits_of, rows).backward()
    return {n: p.grad.clone() for n, p in model.named_parameters()}


def check(code, golden):
    model_class, config_class = code
    legacy = golden["legacyConfig"]
    tensors = {n: weight(golden["weights"]["seed"], n, tuple(s)) for n, s in golden["weights"]["shapes"].items()}
    config = config_class(**{k: v for k, v in legacy.items() if k != "model_type"})
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    model = model_class(config).float().eval()
    result = model.load_state_dict({n: torch.from_numpy(t) for n, t in tensors.items()}, strict=False)
    left = [n for n in result.missing_keys if n in dict(model.named_parameters())]
    assert not left and not result.unexpected_keys, (left, result.unexpected_keys)
    for module in model.modules():
        if type(module).__name__ == "NormHead":
            module.train()  # else it puts its normalised rows in the place of its weight
    # InternLM2 keeps the frequencies of the longest row so far: each row stands alone, as with transformers' own models
    rotary = [(m, n, b.clone()) for m in model.modules() for n, b in m._buffers.items() if b is not None]
    lengths = [(m, m.max_seq_len_cached) for m in model.modules() if hasattr(m, "max_seq_len_cached")]

    def published(ids):
        for module, name, buffer in rotary:
            module._buffers[name] = buffer.clone()
        for module, length in lengths:
            module.max_seq_len_cached = length
        return model(input_ids=torch.tensor([ids]), use_cache=False, return_dict=True).logits[0].float()

    with torch.no_grad():
        worst = 0.0
        for row, recorded in zip(golden["rows"], golden["logits"]["rows"]):
            expected = np.frombuffer(base64.b64decode(recorded), "<f4").reshape(len(row["ids"]), -1)
            worst = max(worst, float((published(row["ids"]) - torch.from_numpy(expected.copy())).abs().max()))
    reference = reference_model(legacy, tensors)
    ours = gradients(reference, lambda ids: reference(torch.tensor([ids])).logits[0], golden["rows"])
    theirs = gradients(model, published, golden["rows"])
    relative = max(float((theirs[n] - ours[n]).norm() / theirs[n].norm()) for n in ours)
    return {"logits": worst, "gradients": relative}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--code", type=pathlib.Path, required=True)
    parser.add_argument("--case", nargs="+", required=True)
    parser.add_argument("--goldens", type=pathlib.Path, default=pathlib.Path("test/goldens/parity"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)
    code = published_class(options.code.resolve())
    ok = True
    for case in options.case:
        result = check(code, json.loads((options.goldens / f"{case}.json").read_text()))
        fits = all(result[k] <= limit for k, limit in LIMITS.items())
        ok = ok and fits
        print(json.dumps({"case": case, "class": code[0].__name__, **result, "ok": fits}), flush=True)
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
