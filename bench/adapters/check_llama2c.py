"""Greedy text of a converted llama2.c model: python bench/adapters/check_llama2c.py FOLDER EXPECTED.txt

From BOS, 200 steps, with transformers; says whether the text is EXPECTED to the letter (transformers 5.23.0: it is).
"""
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, expected = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder).eval()
ids = torch.tensor([[1]])
with torch.no_grad():
    for _ in range(200):
        ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], dim=1)
text = tokenizer.decode(ids[0], skip_special_tokens=True)
print("equal" if text == open(expected).read() else f"differs: {text!r}")
