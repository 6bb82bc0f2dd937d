"""Compares an exported folder with PEFT: python bench/adapters/check_export.py BASE ADAPTER EXPORT

Prints the largest difference of logits between the exported model and (1) base plus adapter, (2) PEFT's merge_and_unload,
all in float32. Recorded with peft 0.21.2, transformers 5.23.0, torch 2.13.0: at most 6e-6 for the f32 cases of
test/goldens/adapters (logits up to 5.5).
"""
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

base, adapter, export = sys.argv[1:]
load = lambda folder: AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
exported = load(export)
tuned = PeftModel.from_pretrained(load(base), adapter).eval()
ids = torch.arange(min(exported.config.vocab_size, 64)).view(1, -1)
with torch.no_grad():
    ours = exported(ids).logits
    with_adapter = tuned(ids).logits
    merged = tuned.merge_and_unload()(ids).logits
print(f"export against base plus adapter: {(ours - with_adapter).abs().max():.2e}")
print(f"export against PEFT's merge:      {(ours - merged).abs().max():.2e}")
print(f"largest logit: {ours.abs().max():.2f}, tied: {exported.config.tie_word_embeddings}")
