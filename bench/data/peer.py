"""The other side: `datasets.map` with the Rust tokenizer, prompts masked, as the usual training scripts have it.

Usage: python peer.py FILE.jsonl TOKENIZER_FOLDER [PROCESSES]
"""

import json
import resource
import sys
import tempfile
import time

import datasets
import transformers

HEAD = "Below is an instruction that describes a task"
TAIL = " Write a response that appropriately completes the request.\n\n### Instruction:\n"
MASKED = -100


def main():
    file, folder = sys.argv[1:3]
    processes = int(sys.argv[3]) if len(sys.argv) > 3 else None
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    datasets.disable_progress_bars()

    def encode(batch):
        prompts = []
        for instruction, given in zip(batch["instruction"], batch["input"]):
            middle = f"\n\n### Input:\n{given}" if given else ""
            context = ", paired with an input that provides further context." if given else "."
            prompts.append(f"{HEAD}{context}{TAIL}{instruction}{middle}\n\n### Response:")
        asked = tokenizer(prompts, add_special_tokens=False)["input_ids"]
        answers = tokenizer(batch["output"], add_special_tokens=False)["input_ids"]
        end = [tokenizer.eos_token_id]
        return {
            "input_ids": [a + b + end for a, b in zip(asked, answers)],
            "labels": [[MASKED] * len(a) + b + end for a, b in zip(asked, answers)],
        }

    with tempfile.TemporaryDirectory() as cache:
        started = time.perf_counter()
        rows = datasets.load_dataset("json", data_files=file, split="train", cache_dir=cache)
        done = rows.map(encode, batched=True, remove_columns=rows.column_names, num_proc=processes, load_from_cache_file=False)
        seconds = time.perf_counter() - started
        tokens = sum(len(ids) for ids in done["input_ids"])
        trained = sum(sum(label != MASKED for label in labels) for labels in done["labels"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "rows": len(done), "tokens": tokens, "trainedTokens": trained, "peakBytes": peak}))


main()
