"""Records QLoRA of a tiny llama model: what transformers and bitsandbytes compute and write, and what PEFT trains on the
values that the codes stand for.

    python bench/quant/record_qlora.py --output test/goldens/quant

writes qlora.json and four-bit.safetensors (as transformers saves a model that was loaded in 4 bits). Logits and gradients are
those of float64 on the dequantised weights, the training run that of float32.
"""
import argparse
import json
import pathlib
import shutil
import sys
import tempfile

import bitsandbytes
import bitsandbytes.functional as F
import numpy as np
import peft
import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "parity"))
import record as parity  # noqa: E402
from cases import llama  # noqa: E402
from tiny_model import to_base64  # noqa: E402

# every row of a weight is a whole number of blocks: bitsandbytes' AVX-512 kernel takes wrong scales elsewhere
CONFIG = llama(hidden_size=64, intermediate_size=320, num_key_value_heads=2)
NAME = "qlora"
VARIANTS = {
    "nf4-double": {"quant_type": "nf4", "compress_statistics": True},
    "nf4": {"quant_type": "nf4", "compress_statistics": False},
    "fp4-double": {"quant_type": "fp4", "compress_statistics": True},
    "int8": None,
}


def dequantized(folder, variant):
    """The model in float32, its linear layers' weights replaced by what their codes stand for."""
    model = parity.load(folder, torch.float32, "sdpa")
    with torch.no_grad():
        for name, module in model.named_modules():
            if not isinstance(module, torch.nn.Linear) or name == "lm_head":
                continue
            w = module.weight
            if VARIANTS[variant] is None:
                codes, absmax, _ = F.int8_vectorwise_quant(w.half())
                w.copy_(F.int8_vectorwise_dequant(codes, absmax))
            else:
                w.copy_(F.dequantize_4bit(*F.quantize_4bit(w, **VARIANTS[variant])))
    return model


def four_bit(folder):
    settings = transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32
    )
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, quantization_config=settings, device_map="cpu", attn_implementation="sdpa"
    )


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--output", type=pathlib.Path, required=True)
    output = arguments.parse_args().output
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        shapes, checksum = parity.write_model(folder, CONFIG)
        rows = parity.make_rows(NAME, "logits", parity.LENGTHS, CONFIG["vocab_size"])
        batches = [parity.make_rows(NAME, f"train-{b}", parity.TRAIN_LENGTHS, CONFIG["vocab_size"])
                   for b in range(parity.TRAIN_BATCHES)]
        model = four_bit(folder)
        with torch.no_grad():
            model.train()  # in evaluation mode bitsandbytes computes in bfloat16 on processors that have it
            loaded = [parity.row_logits(model, r["ids"]) for r in rows]
        saved = folder / "four-bit"
        model.save_pretrained(saved)
        assert sorted(p.name for p in saved.glob("*.safetensors")) == ["model.safetensors"]
        shutil.copyfile(saved / "model.safetensors", output / "four-bit.safetensors")
        with torch.no_grad():
            model.eval()
            evaluated = [parity.row_logits(model, r["ids"]) for r in rows]

        logits = {}
        for variant in VARIANTS:
            with torch.no_grad():
                exact = parity.in_float64(dequantized(folder, variant))
                logits[variant] = [parity.row_logits(exact, r["ids"]) for r in rows]
        plain = parity.in_float64(parity.load(folder, torch.float32, "sdpa"))
        with torch.no_grad():
            unquantized = [parity.row_logits(plain, r["ids"]) for r in rows]

        def far(a, b):
            return max(float((x.double() - y.double()).abs().max()) for x, y in zip(a, b))

        result = {
            "case": NAME,
            "made": {"script": "bench/quant/record_qlora.py", "seed": parity.SEED, "versions": {
                "torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__,
                "bitsandbytes": bitsandbytes.__version__, "numpy": np.__version__}},
            "legacyConfig": CONFIG,
            "config": CONFIG,
            "fourBitConfig": json.loads((saved / "config.json").read_text()),
            "shards": 1,
            "weights": {"seed": parity.SEED, "shapes": shapes, "checksum": checksum},
            "rows": rows,
            "loadedIn4bit": {
                "rows": [to_base64(x.numpy()) for x in loaded],
                "againstDequantized": far(loaded, logits["nf4-double"]),
                "inEvaluationMode": far(evaluated, loaded),
            },
            "logits": {v: [to_base64(x.numpy()) for x in logits[v]] for v in logits},
            "againstUnquantized": {v: far(logits[v], unquantized) for v in logits},
        }
        for variant in ("nf4-double", "int8"):
            adapted = lambda: parity.with_adapter(dequantized(folder, variant))
            part, gradients = parity.compare_gradients(adapted, rows)
            entry = {**parity.LORA, **part, "gradients": parity.whole(gradients)}
            run, final = parity.compare_training(adapted, batches)
            result[variant] = {"lora": entry, "training": {
                "optimiser": parity.OPTIMISER, "steps": parity.TRAIN_STEPS, "batches": batches, **run,
                "final": parity.digests(final)}}
    (output / "qlora.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
    print({k: result[k] for k in ("againstUnquantized",)},
          {k: v for k, v in result["loadedIn4bit"].items() if k != "rows"},
          {v: (result[v]["lora"]["torchFloat32"], result[v]["training"]["torchFloat64"]) for v in ("nf4-double", "int8")})


if __name__ == "__main__":
    main()
