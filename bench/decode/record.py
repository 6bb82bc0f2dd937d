"""Records what transformers' generate makes of tiny models: beam search, penalties, n-grams, bias and least length.

    python bench/decode/record.py test/goldens/generation.json

The models are those of bench/parity (weights are a function of seed and name), in float32, one prompt at a time.
"""
import json
import pathlib
import sys
import tempfile

import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "parity"))
import cases  # noqa: E402
import record as parity  # noqa: E402
from tiny_model import hash_key, hash_words  # noqa: E402

NAMES = ["llama-grouped-tied", "qwen3", "gpt2"]
NEW_TOKENS = 14

# what generate is told; eos_token_id is chosen so that answers end at different lengths
VARIANTS = [
    {"num_beams": 2},
    {"num_beams": 4, "num_return_sequences": 4},
    {"num_beams": 4, "num_return_sequences": 4, "early_stopping": True},
    {"num_beams": 3, "num_return_sequences": 3, "early_stopping": "never", "length_penalty": 2.0},
    {"num_beams": 3, "num_return_sequences": 2, "length_penalty": 0.0},
    {"num_beams": 3, "num_return_sequences": 3, "length_penalty": -1.0, "early_stopping": "never"},
    {"num_beams": 4, "num_return_sequences": 2, "repetition_penalty": 1.4, "no_repeat_ngram_size": 2},
    {"num_beams": 3, "num_return_sequences": 3, "min_new_tokens": 8},
    {"repetition_penalty": 1.6},
    {"no_repeat_ngram_size": 2},
    {"no_repeat_ngram_size": 1, "repetition_penalty": 1.2},
    {"min_new_tokens": 12},
    {"bias": {"3": 4.0, "7": -9.0, "11": 2.5}, "repetition_penalty": 1.3},
]


def main(path):
    torch.set_num_threads(1)
    found = []
    for name in NAMES:
        with tempfile.TemporaryDirectory() as made_in:
            folder = pathlib.Path(made_in)
            config = cases.CASES[name]["config"]
            parity.write_model(folder, config)
            model = parity.load(folder, torch.float32, "eager").eval()
            vocabulary = model.config.vocab_size
            for v, variant in enumerate(VARIANTS):
                for tried in range(3):
                    key = hash_key(7, name, "generation", v, tried)
                    length = 1 + hash_key(key) % 12
                    prompt = (hash_words(key, length) % vocabulary).tolist()
                    eos = (hash_words(hash_key(key, "eos"), 6) % vocabulary).tolist()
                    options = {k: value for k, value in variant.items() if k != "bias"}
                    if "bias" in variant:
                        options["sequence_bias"] = [[[int(k)], value] for k, value in variant["bias"].items()]
                    with torch.no_grad():
                        answer = model.generate(
                            torch.tensor([prompt]), attention_mask=torch.ones(1, length, dtype=torch.long),
                            max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=eos, pad_token_id=0,
                            return_dict_in_generate=True, output_scores=True, **options)
                    rows = []
                    for sequence in answer.sequences.tolist():
                        ids = sequence[length:]
                        ends = [i for i, token in enumerate(ids) if token in eos]
                        rows.append(ids[: ends[0] + 1] if ends else ids)
                    scores = getattr(answer, "sequences_scores", None)
                    found.append({"case": name, "options": variant, "prompt": prompt, "eos": eos, "answers": rows,
                                  **({} if scores is None else {"scores": [round(s, 6) for s in scores.tolist()]})})
    made = {"script": "bench/decode/record.py", "transformers": transformers.__version__, "torch": torch.__version__,
            "newTokens": NEW_TOKENS}
    pathlib.Path(path).write_text(json.dumps({"made": made, "records": found}) + "\n")
    print(len(found), "records")


main(sys.argv[1])
