"""One QLoRA step of transformers + PEFT + bitsandbytes on the CPU, on a folder that bench/qlora/make-model.ts wrote.

The base is loaded in the 4 bits that the folder holds; compute in bfloat16, gradient checkpointing on: what needs least there.
Prints one JSON line a step: {"seconds", "loss", "peakBytes"}.
"""
import argparse
import json
import os
import re
import tempfile
import time

import peft
import torch
import transformers

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--tokens", type=int, default=512)
parser.add_argument("--rank", type=int, default=16)
parser.add_argument("--steps", type=int, default=1)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()

torch.set_num_threads(options.threads)
transformers.utils.logging.disable_progress_bar()
with tempfile.TemporaryDirectory() as folder:
    # the same weights, with the key that tells transformers what they are
    os.symlink(os.path.join(os.path.abspath(options.model), "model.safetensors"), os.path.join(folder, "model.safetensors"))
    with open(os.path.join(options.model, "config.json")) as file:
        config = json.load(file)
    config["quantization_config"] = {
        "quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": "bfloat16", "bnb_4bit_quant_storage": "uint8",
    }
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, attn_implementation="sdpa", device_map={"": "cpu"})
model.config.use_cache = False
model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
model.enable_input_require_grads()
model = peft.get_peft_model(model, peft.LoraConfig(
    task_type="CAUSAL_LM", r=options.rank, lora_alpha=2 * options.rank, lora_dropout=0.0, target_modules="all-linear"))
model.train()
parameters = [p for p in model.parameters() if p.requires_grad]
optimiser = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.0)


def peak_bytes():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1)) * 1024


print(json.dumps({"trainedParameters": sum(p.numel() for p in parameters), "startBytes": peak_bytes()}), flush=True)
for step in range(options.steps):
    ids = torch.randint(0, config["vocab_size"], (1, options.tokens), generator=torch.Generator().manual_seed(step))
    start = time.perf_counter()
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()
    optimiser.zero_grad()
    print(json.dumps({"seconds": time.perf_counter() - start, "loss": loss.item(), "peakBytes": peak_bytes()}), flush=True)
