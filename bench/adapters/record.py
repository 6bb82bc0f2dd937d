"""Records small adapters as PEFT writes them, with the merged weights that they must give.

Run: python bench/adapters/record.py   (peft 0.21.2, transformers 5.23.0, torch 2.13.0, safetensors 0.8.0)
Writes test/goldens/adapters/<case>/{base,adapter,merged}. `merged` is what PEFT's merge_and_unload saves where the base is f32
(our tolerance: 1e-6); where it is bf16 or f16 it is (W.float() + s * (B @ A)).to(dtype), as our contract says: PEFT rounds
the change before it adds it. Seed 0 for every case.
"""
import json
import os
import shutil
import sys

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

out = os.path.join(os.path.dirname(__file__), "../../test/goldens/adapters")
shutil.rmtree(out, ignore_errors=True)


def llama(tied, dtype):
    config = LlamaConfig(
        vocab_size=16, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=tied, max_position_embeddings=32, bos_token_id=1, eos_token_id=2,
        initializer_range=0.5,
    )
    return LlamaForCausalLM(config).to(dtype)


def gpt2(tied, dtype):
    config = GPT2Config(vocab_size=16, n_embd=8, n_layer=1, n_head=2, n_positions=16, bos_token_id=1, eos_token_id=2,
                        initializer_range=0.5)
    return GPT2LMHeadModel(config).to(dtype)


f32, f16, bf16 = torch.float32, torch.float16, torch.bfloat16
cases = {
    "plain": (llama, False, f32, dict(target_modules=["q_proj", "v_proj", "down_proj"], lora_alpha=6)),
    "rslora-patterns": (llama, False, f32, dict(
        target_modules=["q_proj", "k_proj", "up_proj"], use_rslora=True, rank_pattern={"k_proj": 1}, alpha_pattern={r"^model\.layers\.0\.mlp\.up_proj": 11})),
    "fan-in-fan-out": (gpt2, True, f32, dict(target_modules=["c_attn", "c_fc"], fan_in_fan_out=True)),
    "head-and-embedding-pairs": (llama, False, f32, dict(target_modules=["q_proj", "lm_head", "embed_tokens"])),
    "saved-head-tied": (llama, True, f32, dict(target_modules=["q_proj"], modules_to_save=["lm_head", "norm"])),
    "saved-embedding-tied": (llama, True, f32, dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"])),
    "saved-both-kept-tied": (llama, True, f32, dict(
        target_modules=["q_proj"], modules_to_save=["embed_tokens"], ensure_weight_tying=True)),
    "token-rows-tied": (llama, True, f32, dict(target_modules=["q_proj"], trainable_token_indices=[9, 3])),
    "token-rows-both": (llama, False, f32, dict(
        target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [3, 15], "lm_head": [4]})),
    "bf16": (llama, True, bf16, dict(target_modules="all-linear", modules_to_save=["lm_head"])),
    "f16": (llama, False, f16, dict(target_modules=["q_proj", "gate_proj"], trainable_token_indices=[5])),
}

for name, (make, tied, dtype, settings) in cases.items():
    torch.manual_seed(0)
    folder = os.path.join(out, name)
    base = os.path.join(folder, "base")
    make(tied, dtype).save_pretrained(base)
    model = make(tied, dtype).from_pretrained(base, dtype=dtype)
    # autocast_adapter_dtype is PEFT's default: adapters of 16-bit models are f32.
    model = get_peft_model(model, LoraConfig(r=4, task_type="CAUSAL_LM", **settings))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn_like(parameter) * 0.3
    model.peft_config["default"].base_model_name_or_path = "base"
    model.save_pretrained(os.path.join(folder, "adapter"), save_embedding_layers=name == "head-and-embedding-pairs")
    os.remove(os.path.join(folder, "adapter", "README.md"))
    merged_folder = os.path.join(folder, "merged")
    if dtype == f32:
        model.merge_and_unload().save_pretrained(merged_folder)
    else:
        expected = dict(load_file(os.path.join(base, "model.safetensors")))
        adapter = load_file(os.path.join(folder, "adapter", "adapter_model.safetensors"))
        scale = 8 / 4
        for key, value in adapter.items():
            target = key.removeprefix("base_model.model.")
            if ".lora_A." in key:
                weight = target.replace(".lora_A", "")
                # The product in float64, so that the expected bits do not hang on the order of a sum.
                delta = (adapter[key.replace("lora_A", "lora_B")].double() @ value.double()).float()
                expected[weight] = (expected[weight].float() + scale * delta).to(dtype)
            elif "token_adapter" in key:
                weight = target.replace(".token_adapter.trainable_tokens_delta", ".weight")
                expected[weight][torch.tensor(settings["trainable_token_indices"])] = value.to(dtype)
            elif ".lora_B." not in key:
                expected[target] = value.to(dtype)
        os.makedirs(merged_folder)
        save_file(expected, os.path.join(merged_folder, "model.safetensors"), metadata={"format": "pt"})
    for part in ("base", "merged"):
        for file in os.listdir(os.path.join(folder, part)):
            if file not in ("model.safetensors", "config.json"):
                os.remove(os.path.join(folder, part, file))
    print(name, sorted(os.listdir(merged_folder)))
print("written", os.path.relpath(out), "with", sys.version.split()[0])
