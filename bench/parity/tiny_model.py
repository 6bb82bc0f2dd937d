"""Weights and digests that TypeScript makes again bit by bit (src/testing/tiny-model.ts, src/testing/tensor-digest.ts).

A weight is a pure function of (seed, tensor name, index), so that the recorded goldens need not hold any weights. The hash
is that of src/util/hash.ts.
"""
import base64
import math
import re

import numpy as np
import torch

MASK = 0xFFFFFFFF


def mix32(a: int, b: int) -> int:
    """src/util/hash.ts mix32, one pair."""
    h = (((a ^ 0x9E3779B9) * 0x85EBCA6B) ^ ((b + 0x7F4A7C15) * 0xC2B2AE35)) & MASK
    h ^= h >> 16
    h = (h * 0x85EBCA6B) & MASK
    h ^= h >> 13
    h = (h * 0xC2B2AE35) & MASK
    return h ^ (h >> 16)


def hash_key(*parts: int | str) -> int:
    """src/util/hash.ts hashKey for numbers below 2^32 and strings of the basic plane."""
    key = 0x243F6A88
    for part in parts:
        if isinstance(part, str):
            for character in part:
                key = mix32(key, ord(character))
            key = mix32(key, len(part))
        else:
            key = mix32(key, part)
    return key


def hash_words(key: int, count: int) -> np.ndarray:
    """u32[count]: mix32(key, i)."""
    with np.errstate(over="ignore"):
        i = np.arange(count, dtype=np.uint32)
        head = np.uint32((key ^ 0x9E3779B9) * 0x85EBCA6B & MASK)
        h = head ^ ((i + np.uint32(0x7F4A7C15)) * np.uint32(0xC2B2AE35))
        h ^= h >> np.uint32(16)
        h *= np.uint32(0x85EBCA6B)
        h ^= h >> np.uint32(13)
        h *= np.uint32(0xC2B2AE35)
        h ^= h >> np.uint32(16)
    return h


def uniform(key: int, count: int) -> np.ndarray:
    """f64[count] in [-0.5, 0.5)."""
    return hash_words(key, count).astype(np.float64) / 4294967296.0 - 0.5


def weight(seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """f32 of the given shape: norms around 1, everything else around 0 with a spread that keeps activations near 1."""
    u = uniform(hash_key(seed, name), math.prod(shape))
    if re.search(r"(norm|ln_[a-z0-9]+)\.weight$", name):
        values = 1 + 0.5 * u
    elif name.endswith(".bias"):
        values = 0.5 * u
    elif name.endswith("embed_tokens.weight"):
        values = 2 * u
    elif name.endswith("lora_B.weight"):
        values = 0.2 * u
    else:
        values = (3 / math.sqrt(shape[-1])) * u
    return values.astype(np.float32).reshape(shape)


def to_base64(values: np.ndarray) -> str:
    """Little-endian f32 in base64."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


ENTRIES = 64
PROJECTIONS = 8


def digest(name: str, tensor: torch.Tensor) -> dict:
    """What stands for a tensor too large to store: its norm, 64 of its entries, and 8 sums over all entries with hashed
    signs. Two tensors a, b with digests p, q have E[(p_j - q_j)^2] = |a - b|^2, so the sums see a change anywhere."""
    values = tensor.detach().double().numpy().ravel()
    picks = hash_words(hash_key("entries", name), ENTRIES) % np.uint32(values.size)
    sums = []
    for j in range(PROJECTIONS):
        signs = (hash_words(hash_key("projection", name, j), values.size) & np.uint32(1)).astype(np.float64) * 2 - 1
        sums.append(float(np.dot(values, signs)))
    return {
        "shape": list(tensor.shape),
        "norm": float(np.linalg.norm(values)),
        "entries": to_base64(values[picks]),
        "projections": sums,
    }
