"""Records what transformers makes of tokens that are added to a model whose output layer has a bias (phi).

    python bench/parity/record_added_tokens.py test/goldens/added-tokens.json

resize_token_embeddings gives new rows of that bias the mean of the known ones. The new rows of embedding and output are
hashed ones; the logits are those of float64. Without PEFT: the trainable tokens of 0.21.2 leave the bias of an output layer
out. Tolerance of the test: 1e-4 absolute, as for all logits; 1e-6 for the bias.
"""
import json
import pathlib
import sys
import tempfile

import numpy as np
import torch
import transformers

from cases import CASES
from record import SEED, in_float64, load, row_logits, write_model
from tiny_model import hash_key, hash_words, to_base64, weight

CASE = "phi"
ADDED = 2
LENGTH = 12


def main(output):
    config = CASES[CASE]["config"]
    known, width = config["vocab_size"], config["hidden_size"]
    new = list(range(known, known + ADDED))
    ids = (hash_words(hash_key(SEED, CASE, "added tokens"), LENGTH) % np.uint32(known)).tolist()
    ids[3], ids[7] = new
    rows = {name: weight(SEED, f"{name}.new_rows.weight", (ADDED, width)) for name in ("embed_tokens", "lm_head")}
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        write_model(folder, config)
        torch.manual_seed(SEED)
        model = load(folder, torch.float32, "eager")
        model.resize_token_embeddings(known + ADDED)
        with torch.no_grad():
            model.model.embed_tokens.weight[known:] = torch.from_numpy(rows["embed_tokens"])
            model.lm_head.weight[known:] = torch.from_numpy(rows["lm_head"])
            bias = model.lm_head.bias[known:].tolist()
            logits = row_logits(in_float64(model), ids)
    result = {
        "case": CASE,
        "made": {
            "script": "bench/parity/record_added_tokens.py", "seed": SEED, "tolerance": {"logits": 1e-4, "bias": 1e-6},
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "numpy": np.__version__,
                         "python": sys.version.split()[0]},
        },
        "ids": ids, "newIds": new, "newBias": bias, "logits": to_base64(logits.numpy()),
    }
    pathlib.Path(output).write_text(json.dumps(result, separators=(",", ":"), allow_nan=False) + "\n")
    print(json.dumps({"newBias": result["newBias"], "logits": list(logits.shape)}))


if __name__ == "__main__":
    main(sys.argv[1])
