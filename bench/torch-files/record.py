"""Writes PyTorch files of every storage type and view, and what torch reads from them (expected.json).

    PYTHON bench/torch-files/record.py        # torch 2.13.0, seed 7

No tolerance: bytes must be equal.
"""
import json
import pathlib
import warnings

import torch

warnings.filterwarnings("ignore")
torch.manual_seed(7)
folder = pathlib.Path(__file__).parents[2] / "test/goldens/torch-files"
folder.mkdir(parents=True, exist_ok=True)

DTYPES = {
    torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
    torch.complex64: "C64", torch.uint16: "U16", torch.uint32: "U32", torch.uint64: "U64",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}


def every_dtype():
    base = torch.arange(6).reshape(2, 3)
    tensors = {}
    for dtype, name in DTYPES.items():
        values = base if dtype.is_floating_point or not dtype.is_signed else base - 3
        tensors[name.lower()] = torch.tensor(values.tolist()).to(dtype)
    return tensors


def views():
    base = torch.randn(4, 6)
    cube = torch.randn(2, 3, 4)
    tied = torch.randn(3, 2)
    return {
        "whole": base,
        "rows": base[1:3],
        "columns": base[:, 2:5],
        "transposed": base.t(),
        "every_second": base[:, ::2],
        "permuted": cube.permute(2, 0, 1),
        "expanded": torch.randn(3, 1).expand(3, 5),
        "tied": tied,
        "tied_too": tied,
        "scalar": torch.tensor(1.5),
        "last": base.flatten()[-1],
        "empty": torch.empty(0, 3),
        "one": torch.randn(1, 5)[:, 1:2],
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
    }


def legacy_safe(tensors):
    return {k: v for k, v in tensors.items() if v.dtype in (
        torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8,
        torch.uint8, torch.bool, torch.complex64)}


marked = torch.nn.Parameter(torch.randn(2))
marked.note = "kept by training programs"
files = {
    "dtypes.bin": (every_dtype(), {}),
    "dtypes-legacy.bin": (legacy_safe(every_dtype()), {"_use_new_zipfile_serialization": False}),
    "views.bin": (views(), {}),
    "views-legacy.bin": (views(), {"_use_new_zipfile_serialization": False}),
    "protocol-5.bin": (views(), {"pickle_protocol": 5}),
    "module.bin": (torch.nn.Linear(3, 2).state_dict(), {}),
    "module-legacy.bin": (torch.nn.Linear(3, 2).state_dict(), {"_use_new_zipfile_serialization": False}),
    "trainer.bin": ({"epoch": 3, "state_dict": {"p": marked, "q": torch.randn(2).half()}}, {}),
}
expected = {"torch": torch.__version__, "files": {}}
for name, (content, options) in files.items():
    torch.save(content, folder / name, **options)
    loaded = torch.load(folder / name, weights_only=False)
    loaded = loaded.get("state_dict", loaded)
    expected["files"][name] = {
        key: {
            "dtype": DTYPES[value.dtype],
            "shape": list(value.shape),
            "bytes": bytes(value.detach().contiguous().flatten().view(torch.uint8).tolist()).hex()
            if value.numel() else "",
        }
        for key, value in loaded.items()
    }
(folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
