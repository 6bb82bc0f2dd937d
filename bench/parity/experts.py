"""Routed experts: transformers 5 and PEFT hold all experts of a layer in one parameter, published files and adapters one of each."""
import re

import torch

# model_type -> what a layer's block of experts is called in published files, and gate, up and down inside an expert
NAMES = {
    "mixtral": ("block_sparse_moe", ("w1", "w3", "w2")),
    "qwen2_moe": ("mlp", ("gate_proj", "up_proj", "down_proj")),
    "qwen3_moe": ("mlp", ("gate_proj", "up_proj", "down_proj")),
}


def split(kind, name, tensor, count):
    """A tensor under transformers' or PEFT's name as those that published files have: name to tensor."""
    if kind not in NAMES:
        return {name: tensor}
    block, (gate, up, down) = NAMES[kind]
    name = re.sub(r"\.mlp\.(gate|experts)\.", rf".{block}.\1.", name)
    prefix = name.split(".experts.")[0]

    def named(parts, suffix):
        return {f"{prefix}.experts.{e}.{part}.{suffix}": t for e in range(count) for part, t in parts(e).items()}

    if name.endswith(".experts.gate_up_proj"):
        half = tensor.shape[1] // 2
        return named(lambda e: {gate: tensor[e, :half], up: tensor[e, half:]}, "weight")
    if name.endswith(".experts.down_proj"):
        return named(lambda e: {down: tensor[e]}, "weight")
    # PEFT wraps the parameters of the experts one around the other, gate_up_proj inside. Gate and up are a pair of ranks of
    # their own: A of both above one another, B of both in the corners of one, zeros between
    inner = ".experts.base_layer." in name
    if name.endswith("lora_A.weight") and ".experts." in name:
        each = tensor.reshape(count, -1, tensor.shape[-1])
        r = each.shape[1] // 2
        if inner:
            return named(lambda e: {gate: each[e, :r], up: each[e, r:]}, "lora_A.weight")
        return named(lambda e: {down: each[e]}, "lora_A.weight")
    if name.endswith("lora_B.weight") and ".experts." in name:
        each = tensor.reshape(tensor.shape[0], -1, count).permute(2, 0, 1)
        r, half = each.shape[2] // 2, each.shape[1] // 2
        if inner:
            return named(lambda e: {gate: each[e, :half, :r], up: each[e, half:, r:]}, "lora_B.weight")
        return named(lambda e: {down: each[e]}, "lora_B.weight")
    return {name: tensor}


def split_all(kind, tensors, count):
    return {n: t for name, tensor in tensors.items() for n, t in split(kind, name, tensor, count).items()}


def count_of(config):
    """The number of experts of a config, a dict or transformers'."""
    get = config.get if isinstance(config, dict) else lambda key: getattr(config, key, None)
    return get("num_local_experts") or get("num_experts")
