"""Records what bitsandbytes computes on the CPU for 100 tensors of odd shapes, zero blocks and NaN (src/quant).

    python bench/quant/record.py > test/goldens/quant/blocks.json

Inputs are a function of (seed, name, index), made again bit by bit by src/quant/goldens.test.ts; of the results the first
and last bytes and a digest stand in the file. Dequantised values are those of bitsandbytes' plain implementation: its
AVX-512 kernel takes the wrong scales where a row holds no whole number of blocks.
"""
import hashlib
import json
import pathlib
import sys

import bitsandbytes
import bitsandbytes.functional as F
import numpy as np
import torch
from bitsandbytes.backends.default.ops import _dequantize_4bit_compute

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "parity"))
from tiny_model import hash_key, hash_words  # noqa: E402

SEED = 20261122
# the offset is a mean, whose last bit depends on the number of threads above 32,768 scales
torch.set_num_threads(1)

SHAPES = [
    [1], [2], [3], [63], [64], [65], [127], [128], [129], [1, 64], [64, 1], [3, 5], [5, 3], [7, 9], [1, 191], [13, 64],
    [33, 64], [17, 63], [31, 96], [31, 160], [255, 64], [256, 64], [257, 64], [100, 100], [101, 101], [511, 63],
    [96, 384], [128, 344], [344, 128], [576, 192], [513, 128], [1000, 96], [771, 129],
]
KINDS = ["spread", "zero-blocks", "nan"]


def values(name, shape, kind):
    """Half of them even, half with a heavy tail; the last three bits of the second word choose the binary exponent."""
    count = int(np.prod(shape))
    u = hash_words(hash_key(SEED, name, "value"), count).astype(np.float64) / 4294967296.0 - 0.5
    exponent = (hash_words(hash_key(SEED, name, "exponent"), count) % np.uint32(8)).astype(np.int64)
    x = (u * 2.0 ** -exponent.astype(np.float64)).astype(np.float32)
    blocks = np.arange(count) // 64
    if kind == "zero-blocks":
        x[blocks % 3 == 1] = 0
        if count > 3:
            x[3] = -0.0
    if kind == "nan" and count > 1:
        x[(count * 2) // 3] = np.nan
    return torch.from_numpy(x.reshape(shape))


def digest(tensor):
    raw = np.ascontiguousarray(tensor.detach().numpy()).ravel()
    if raw.dtype == np.float32:
        raw = np.where(np.isnan(raw), np.float32(np.nan), raw).astype("<f4")
        words = raw.view(np.uint32).copy()
        words[np.isnan(raw)] = 0x7FC00000
        raw = words
    data = raw.tobytes()
    return {"bytes": len(data), "head": data[:16].hex(), "sha256": hashlib.sha256(data).hexdigest()}


def four_bit(tensor, kind):
    codes, state = F.quantize_4bit(tensor, quant_type=kind)
    table = F.get_4bit_type(kind, device="cpu")
    shape = list(tensor.shape)

    def expand(absmax):
        return _dequantize_4bit_compute(codes.reshape(-1), absmax, table, 64, shape, torch.float32)

    nested_codes, nested = F.quantize_4bit(tensor, quant_type=kind, compress_statistics=True)
    assert torch.equal(codes, nested_codes)
    scales = F.dequantize_blockwise(nested.absmax, nested.state2) + nested.offset
    return {
        "codes": digest(codes), "absmax": digest(state.absmax), "values": digest(expand(state.absmax)),
        "nestedCodes": digest(nested.absmax), "nestedAbsmax": digest(nested.state2.absmax),
        "offset": digest(nested.offset.reshape(1)), "nestedValues": digest(expand(scales)),
    }


def eight_bit(tensor):
    codes, absmax, _ = F.int8_vectorwise_quant(tensor.reshape(-1, tensor.shape[-1]).half())
    return {"codes": digest(codes), "absmax": digest(absmax), "values": digest(F.int8_vectorwise_dequant(codes, absmax))}


def main():
    tensors = []
    for index, (shape, kind) in enumerate([(s, k) for s in SHAPES for k in KINDS] + [([2048, 1088], "spread")]):
        name = f"tensor-{index}"
        x = values(name, shape, kind)
        entry = {"name": name, "shape": shape, "kind": kind, "input": digest(x)}
        entry["nf4"] = four_bit(x, "nf4")
        entry["fp4"] = four_bit(x, "fp4")
        if kind != "nan":
            entry["int8"] = eight_bit(x)
        tensors.append(entry)
    print(json.dumps({
        "made": {
            "script": "bench/quant/record.py", "seed": SEED, "threads": 1,
            "versions": {"bitsandbytes": bitsandbytes.__version__, "torch": torch.__version__, "numpy": np.__version__},
        },
        "map": digest(F.create_dynamic_map()),
        "tensors": tensors,
    }, separators=(",", ":")).replace('{"name"', '\n{"name"'))


main()
