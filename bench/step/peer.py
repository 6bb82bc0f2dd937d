"""One training step of transformers + PEFT on torch, for a driver that alternates it with Fettle's.

A process that stays: it loads a checkpoint, says {"ready": ...}, then answers each line of standard input with one line:
  {"do": "step", "batch": {"ids": [[...]], "labels": [[...]]}}  ->  {"seconds", "loss", "peakBytes"}
  {"do": "quit"}
Rows shorter than the longest are padded on the right, as TRL's default collator does (its pad rows carry label -100).
The step is what a Trainer does without its bookkeeping: forward, loss, backward, clip_grad_norm_, AdamW, zero_grad.
"""
import argparse
import json
import re
import sys
import time

import peft
import torch
import transformers

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--dtype", choices=["float32", "bfloat16"], required=True)
parser.add_argument("--adapter-dtype", choices=["float32", "bfloat16"], help="left out: the model's")
parser.add_argument("--gradient-checkpointing", action="store_true")
parser.add_argument("--rank", type=int, default=16)
parser.add_argument("--learning-rate", type=float, default=1e-4)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--loss", choices=["transformers", "trl"], default="transformers",
                    help="transformers: logits of every token; trl: the fused head of TRL's trainers")
options = parser.parse_args()

torch.set_num_threads(options.threads)
transformers.utils.logging.disable_progress_bar()
dtype = getattr(torch, options.dtype)
model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype, attn_implementation="sdpa")
model.config.use_cache = False
if options.loss == "trl":
    from trl.trainer.utils import add_fused_lm_head

    add_fused_lm_head(model)
if options.gradient_checkpointing:
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
model = peft.get_peft_model(model, peft.LoraConfig(
    task_type="CAUSAL_LM", r=options.rank, lora_alpha=2 * options.rank, lora_dropout=0.0, target_modules="all-linear"),
    autocast_adapter_dtype=False)
if options.adapter_dtype:
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(getattr(torch, options.adapter_dtype))
model.train()
parameters = [p for p in model.parameters() if p.requires_grad]
optimiser = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=0.0)


def peak_bytes():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1)) * 1024


def collate(batch):
    longest = max(len(ids) for ids in batch["ids"])
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in batch["ids"]])
    labels = torch.tensor([row + [-100] * (longest - len(row)) for row in batch["labels"]])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in batch["ids"]])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def step(batch):
    inputs = collate(batch)
    if options.loss == "trl":
        outputs = model(**inputs, use_cache=False, fused_lm_head=True)
        loss = -outputs.log_probs.sum() / outputs.label_mask.sum()
    else:
        loss = model(**inputs).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()
    optimiser.zero_grad()
    return float(loss.detach())


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


say({"ready": True, "trainedParameters": sum(p.numel() for p in parameters),
     "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}})
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "quit":
        break
    start = time.perf_counter()
    loss = step(request["batch"])
    say({"seconds": time.perf_counter() - start, "loss": loss, "peakBytes": peak_bytes()})
