"""Greedy decoding by transformers' generate, for bench/decode/run.ts: one JSON line in, one out.

{"do": "decode", "context", "tokens", "rows"} -> {"seconds": median time of a step, "tokensPerSecond", "ids" of the first row}
"""
import argparse
import json
import statistics
import sys
import time

import torch
import transformers

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--dtype", choices=["float32", "bfloat16"], required=True)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()
torch.set_num_threads(options.threads)
transformers.utils.logging.disable_progress_bar()
model = transformers.AutoModelForCausalLM.from_pretrained(
    options.model, dtype=getattr(torch, options.dtype), attn_implementation="sdpa").eval()


class Clock(transformers.StoppingCriteria):
    """Takes the time after each token; stops nothing."""

    def __init__(self):
        self.times = []

    def __call__(self, ids, scores, **_):
        self.times.append(time.perf_counter())
        return torch.zeros(ids.shape[0], dtype=torch.bool)


def decode(request):
    rows, context = request["rows"], request["context"]
    ids = torch.tensor([[(7 * i + 13 * row) % 30000 for i in range(context)] for row in range(rows)])
    clock = Clock()
    with torch.inference_mode():
        answer = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=request["tokens"], do_sample=False,
            eos_token_id=None, pad_token_id=0, stopping_criteria=transformers.StoppingCriteriaList([clock]))
    intervals = [b - a for a, b in zip(clock.times, clock.times[1:])]
    return {"seconds": statistics.median(intervals),
            "tokensPerSecond": rows * len(intervals) / (clock.times[-1] - clock.times[0]),
            "ids": answer[0, context:].tolist()}


print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if asked["do"] == "quit":
        break
    print(json.dumps(decode(asked)), flush=True)
