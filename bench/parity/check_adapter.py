"""Does PEFT take what Fettle wrote?

    python bench/parity/check_adapter.py --base MODEL --adapter FOLDER [--merged FOLDER] [--ids 1,5,9,...]

Loads the adapter with PEFT, strictly (a tensor that is missing, unexpected or of another shape ends the check), computes
logits with the adapter and after merge_and_unload, and compares them with those of the folder that `fettle export` merged.
Prints one JSON object; exit 1 where a difference exceeds the tolerance.
"""
import argparse
import json
import sys

import peft
import torch
import transformers
from safetensors import safe_open

from experts import count_of, split_all

parser = argparse.ArgumentParser()
parser.add_argument("--base", required=True)
parser.add_argument("--adapter", required=True)
parser.add_argument("--merged")
parser.add_argument("--ids", default="1,5,9,33,7,21,60,2,2,11,40,3")
parser.add_argument("--tolerance", type=float, default=1e-4)
options = parser.parse_args()
transformers.utils.logging.disable_progress_bar()
ids = torch.tensor([[int(i) for i in options.ids.split(",")]])


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def logits(model):
    with torch.no_grad():
        return model(input_ids=ids).logits[0]


base = logits(load(options.base))
model = peft.PeftModel.from_pretrained(load(options.base), options.adapter).eval()
written = set(safe_open(f"{options.adapter}/adapter_model.safetensors", "pt").keys())
# PEFT holds the experts of a layer together; files have them one by one
expected = set(split_all(model.config.model_type, peft.get_peft_model_state_dict(model), count_of(model.config)))
adapted = logits(model)
merged = logits(model.merge_and_unload())
result = {
    "missing": sorted(expected - written),
    "unexpected": sorted(written - expected),
    "adapterChangesLogitsBy": float((adapted - base).abs().max()),
    "adapterAgainstPeftMerge": float((merged - adapted).abs().max()),
}
ok = not result["missing"] and not result["unexpected"] and result["adapterAgainstPeftMerge"] < options.tolerance
if options.merged:
    result["exportedAgainstPeftMerge"] = float((logits(load(options.merged)) - merged).abs().max())
    ok = ok and result["exportedAgainstPeftMerge"] < options.tolerance
result["ok"] = ok
print(json.dumps(result))
sys.exit(0 if ok else 1)
