"""Records what PyTorch, transformers and PEFT compute for the tiny models of cases.py.

    python bench/parity/record.py --output test/goldens/parity [--full FOLDER] [--only CASE ...]
    python bench/parity/record.py --greedy test/goldens/greedy.json [--only CASE ...]

Logits and gradients are those of float64 (transformers' forced casts to float32 inside norms and rotary embeddings taken
out), the training runs those of float32 as PEFT users see them. Beside each stands how far torch's own float32 is from
float64: the tolerances that the tests use stand above that. --full also writes every tensor whole, outside the repository.
"""
import argparse
import json
import math
import pathlib
import re
import sys
import tempfile

import numpy as np
import peft
import torch
import torch.nn.functional as F
import transformers
from safetensors.numpy import load_file, save_file
from transformers.trainer_pt_utils import get_parameter_names

from cases import CASES, PUBLISHED
from experts import NAMES as EXPERTS, count_of, split_all
from reference_models import REFERENCES, reference_model
from tiny_model import digest, hash_key, hash_words, to_base64, weight

SEED = 20261121
IGNORED = -100
LENGTHS = [5, 23, 11]
TRAIN_STEPS = 50
TRAIN_BATCHES = 5
TRAIN_LENGTHS = [9, 14, 4, 20]
TOKEN_INDICES = [3, 17, 95]
GREEDY_PROMPTS = 20
GREEDY_TOKENS = 8
GREEDY_ALSO = ["llama-rope-dynamic", "phi3-longrope", "falcon-alibi", "baichuan2-alibi", "chatglm-ratio"]
GREEDY_DULL = 5  # so many answers that say one token again and again are followed by answers that say no token twice
GREEDY_LEAD = 1e-3  # between the two most probable tokens' logits: far above rounding
LORA = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0, "bias": "none", "target_modules": "all-linear"}
OPTIMISER = {"learning_rate": 1e-3, "weight_decay": 0.01, "betas": [0.9, 0.999], "eps": 1e-8, "max_grad_norm": 1.0}
# Trainer.get_decay_parameter_names
NOT_DECAYED = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]
TOLERANCE = {"logits": 1e-4, "gradients": 1e-5, "losses": 1e-4, "adapter": 1e-4}
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def make_rows(case, label, lengths, vocab_size):
    """Ragged rows. Row 0 trains a suffix, row 1 a hashed half, row 2 everything, its first label included: no position
    predicts the first token, so that label must not count."""
    rows = []
    for r, length in enumerate(lengths):
        ids = (hash_words(hash_key(SEED, case, label, "ids", r), length) % np.uint32(vocab_size)).tolist()
        chosen = hash_words(hash_key(SEED, case, label, "labels", r), length) % np.uint32(2)
        trained = {0: lambda t: t >= length // 2, 1: lambda t: chosen[t] == 1, 2: lambda t: True}[r % 3]
        rows.append({"ids": ids, "labels": [ids[t] if trained(t) else IGNORED for t in range(length)]})
    return rows


def load(folder, dtype, attention):
    config = json.loads((folder / "config.json").read_text())
    if config["model_type"] in REFERENCES:
        return reference_model(config, load_file(folder / "model.safetensors"))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation=attention).eval()
    if config["model_type"] in EXPERTS:
        model.set_experts_implementation("eager")  # the others do not know float64
    return model


def published(name, model_type):
    """The name that published files and adapters give a parameter, where transformers has renamed it."""
    for pattern, replacement in PUBLISHED.get(model_type, []):
        name = re.sub(pattern, replacement, name)
    return name


def write_model(folder, config):
    """A float32 checkpoint of the generated weights, rounded to the case's own dtype first."""
    (folder / "config.json").write_text(json.dumps(config))
    if config["model_type"] in REFERENCES:
        empty = reference_model(config)
    else:
        empty = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(folder))
    named = {published(n, config["model_type"]): p for n, p in empty.named_parameters()}
    shapes = {n: tuple(p.shape) for n, p in split_all(config["model_type"], named, count_of(config)).items()}
    stored = DTYPES[config["torch_dtype"]]
    tensors = {n: torch.from_numpy(weight(SEED, n, s)).to(stored).float().numpy() for n, s in shapes.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    checksum = 0
    for name in sorted(tensors):
        for word in tensors[name].ravel().view(np.uint32)[:: max(1, tensors[name].size // 61)]:
            checksum = hash_key(checksum, int(word))
    return {n: list(s) for n, s in shapes.items()}, checksum


def without_casts(model):
    """Takes out the casts to float32 that transformers makes whatever the model's dtype is."""

    def norm_forward(self, x):
        epsilon = getattr(self, "variance_epsilon", None) or self.eps
        gain = 1 + self.weight if "Gemma" in type(self).__name__ else self.weight
        return gain * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon))

    for module in model.modules():
        kind = type(module).__name__
        if kind.endswith("RMSNorm"):
            module.forward = norm_forward.__get__(module)
        if kind.endswith("RotaryEmbedding"):
            inner = module.forward

            def rotary(x, position_ids, *kind, self=module, inner=inner):
                inner(x.float(), position_ids, *kind)  # updates the frequencies where they depend on the length
                prefix = f"{kind[0]}_" if kind else ""
                angle = position_ids[..., None].double() * getattr(self, f"{prefix}inv_freq").float().double()
                angle = torch.cat((angle, angle), dim=-1)
                scale = getattr(self, f"{prefix}attention_scaling")
                return (angle.cos() * scale).to(x.dtype), (angle.sin() * scale).to(x.dtype)

            module.forward = rotary
    return model


def softmax(x, dim=None, _stacklevel=3, dtype=None, plain=F.softmax):
    """Eager attention asks for float32 probabilities, which would round those of float64."""
    return plain(x, dim, _stacklevel, None if x.dtype == torch.float64 else dtype)


F.softmax = softmax


def in_float64(model):
    frequencies = {n: b.clone() for n, b in model.named_buffers()}
    model = without_casts(model.double())
    for n, b in model.named_buffers():
        if "inv_freq" in n:
            b.data = frequencies[n]
    return model


def reset_rope(model):
    """Each row stands alone: the dynamic frequencies of an earlier, longer row must not stay."""
    for module in model.modules():
        if type(module).__name__.endswith("RotaryEmbedding") and hasattr(module, "original_inv_freq"):
            module.inv_freq = module.original_inv_freq.clone()
            module.max_seq_len_cached = module.original_max_seq_len


def row_logits(model, ids):
    reset_rope(model)
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


def batch_loss(model, rows):
    """Sum of the cross-entropy over the batch divided by its trained tokens."""
    total = 0
    count = 0
    for row in rows:
        labels = torch.tensor(row["labels"][1:])
        logits = row_logits(model, row["ids"])[:-1]
        total = total + F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
        count += int((labels != IGNORED).sum())
    return total / count, count


def plain_name(name):
    """PEFT's parameter name as the adapter file has it, without the prefix."""
    for piece in ("base_model.model.", ".default", ".modules_to_save", ".original_module"):
        name = name.replace(piece, "")
    return name


def trained(model):
    kind = model.config.model_type
    return {published(plain_name(n), kind): p for n, p in model.named_parameters() if p.requires_grad}


def own_tensors(model, tensors):
    """Tensors by the names of published files and adapters."""
    return split_all(model.config.model_type, tensors, count_of(model.config))


def with_adapter(model, **lora):
    settings = {**LORA, "task_type": "CAUSAL_LM", **lora}
    if model.config.model_type in REFERENCES:
        settings["task_type"] = None  # no generation through PEFT
    model = peft.get_peft_model(model, peft.LoraConfig(**settings)).eval()
    if model.config.model_type in EXPERTS:
        # loaded under the published names, as PEFT loads an adapter file
        values = {n: torch.from_numpy(weight(SEED, n, tuple(p.shape))) for n, p in own_tensors(model, trained(model)).items()}
        result = peft.set_peft_model_state_dict(model, {f"base_model.model.{n}": v for n, v in values.items() if ".lora_" in n})
        assert not result.unexpected_keys, result.unexpected_keys
        loaded = own_tensors(model, trained(model))
        assert all(torch.equal(loaded[n], v) for n, v in values.items() if ".lora_" in n)
        return model
    with torch.no_grad():
        for name, parameter in trained(model).items():
            if ".lora_" in name:
                parameter.copy_(torch.from_numpy(weight(SEED, name, tuple(parameter.shape))))
    return model


def gradients(model, rows):
    model.zero_grad()
    loss, count = batch_loss(model, rows)
    loss.backward()
    gradients = {n: p.grad.detach().clone() for n, p in trained(model).items()}
    return float(loss.detach()), count, own_tensors(model, gradients)


def relative(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


def compare_gradients(make, rows):
    """Gradients in float64, and how far torch's float32 is from them."""
    loss, count, exact = gradients(in_float64(make()), rows)
    loss32, _, single = gradients(make(), rows)
    worst = max(relative(single[n], exact[n]) for n in exact)
    return {"loss": loss, "trainedTokens": count, "torchFloat32": {"loss": abs(loss32 - loss), "gradients": worst}}, exact


def train(model, batches):
    """Fifty steps as PEFT users run them: torch's AdamW, linear schedule without warm-up, clipping."""
    parameters = list(trained(model).values())
    decaying = set(get_parameter_names(model, [torch.nn.LayerNorm], NOT_DECAYED))
    groups = [
        {"params": [p for n, p in model.named_parameters() if p.requires_grad and (n in decaying) == decays],
         "weight_decay": OPTIMISER["weight_decay"] if decays else 0.0}
        for decays in (True, False)
    ]
    optimiser = torch.optim.AdamW(
        groups, lr=OPTIMISER["learning_rate"], betas=tuple(OPTIMISER["betas"]), eps=OPTIMISER["eps"]
    )
    schedule = transformers.get_scheduler("linear", optimiser, 0, TRAIN_STEPS)
    losses, norms = [], []
    for step in range(TRAIN_STEPS):
        optimiser.zero_grad()
        loss, _ = batch_loss(model, batches[step % len(batches)])
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(parameters, OPTIMISER["max_grad_norm"])))
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return losses, norms, {n: p.detach().clone() for n, p in trained(model).items()}


def compare_training(make, batches):
    losses, norms, final = train(make(), batches)
    losses64, _, final64 = train(in_float64(make()), batches)
    return {
        "losses": losses,
        "gradNorms": norms,
        "torchFloat64": {
            "losses": max(abs(a - b) for a, b in zip(losses, losses64)),
            "final": max(relative(final[n], final64[n]) for n in final),
            "finalAbsolute": max(float((final[n] - final64[n]).abs().max()) for n in final),
        },
    }, final


def digests(tensors):
    return {n: digest(n, t) for n, t in tensors.items()}


def whole(tensors):
    return {n: {"shape": list(t.shape), "data": to_base64(t.numpy())} for n, t in tensors.items()}


def greedy(model, prompt, count, no_repeat=0):
    """Greedy continuation, and the smallest lead of a chosen token: it must be far above rounding."""
    reset_rope(model)
    if model.config.model_type in REFERENCES:
        ids, leads = list(prompt), []
        with torch.no_grad():
            for _ in range(count):
                best = row_logits(model, ids)[-1].topk(2)
                leads.append(float(best.values.diff().abs()))
                ids.append(int(best.indices[0]))
        return {"prompt": prompt, "ids": ids[len(prompt):], "smallestLead": min(leads)}
    with torch.no_grad():
        out = model.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), max_new_tokens=count,
            do_sample=False, output_scores=True, return_dict_in_generate=True, eos_token_id=None, pad_token_id=0,
            no_repeat_ngram_size=no_repeat,
        )
    leads = [float(t[0].topk(2).values.diff().abs()) for t in out.scores]
    return {"prompt": prompt, "ids": out.sequences[0, len(prompt):].tolist(), "smallestLead": min(leads)}


def record(name, spec, full):
    config = spec["config"]
    lora = spec.get("lora", {})
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        shapes, checksum = write_model(folder, config)
        attention = spec.get("attention", "sdpa")
        base = lambda: load(folder, torch.float32, attention)
        adapted = lambda **more: with_adapter(base(), **{**lora, **more})

        def all_trainable():
            model = base()
            model.requires_grad_(True)
            return model

        if config["model_type"] in REFERENCES:
            new_config = {**config, "dtype": config["torch_dtype"]}
            lora = {"target_modules": REFERENCES[config["model_type"]].targets, **lora}
        else:
            saved = folder / "saved"
            transformers.AutoConfig.from_pretrained(folder).save_pretrained(saved)
            new_config = json.loads((saved / "config.json").read_text())
        vocabulary = config.get("vocab_size") or config["padded_vocab_size"]
        rows = make_rows(name, "logits", spec.get("lengths", LENGTHS), vocabulary)
        batches = [make_rows(name, f"train-{b}", TRAIN_LENGTHS, vocabulary) for b in range(TRAIN_BATCHES)]
        result = {
            "case": name,
            "made": {
                "script": "bench/parity/record.py", "seed": SEED, "tolerance": TOLERANCE,
                "versions": {"torch": torch.__version__, "transformers": transformers.__version__,
                             "peft": peft.__version__, "numpy": np.__version__, "python": sys.version.split()[0]},
            },
            "legacyConfig": config,
            "config": new_config,
            "shards": spec.get("shards", 1),
            "weights": {"seed": SEED, "shapes": shapes, "checksum": checksum},
            "rows": rows,
        }
        whole_tensors = {}

        with torch.no_grad():
            exact_model, single_model = in_float64(base()), base()
            exact = [row_logits(exact_model, r["ids"]) for r in rows]
            single = [row_logits(single_model, r["ids"]) for r in rows]
        result["logits"] = {
            "torchFloat32": max(float((a - b).abs().max()) for a, b in zip(single, exact)),
            "rows": [to_base64(l.numpy()) for l in exact],
        }
        for i, l in enumerate(exact):
            whole_tensors[f"logits.{i}"] = l

        prompt = rows[0]["ids"]
        result["greedy"] = greedy(base(), prompt, 20)
        assert result["greedy"]["smallestLead"] > 1e-3, (name, result["greedy"])

        part, grads = compare_gradients(adapted, rows)
        result["lora"] = {**LORA, **lora, **part, "gradients": whole(grads)}
        if "targets" in spec:
            result["lora"]["target_modules"] = spec["targets"]
        whole_tensors.update({f"lora.gradient.{n}": t for n, t in grads.items()})
        with torch.no_grad():
            model = in_float64(adapted())
            result["lora"]["logitsOfLastRow"] = to_base64(row_logits(model, rows[-1]["ids"]).numpy())

        part, grads = compare_gradients(all_trainable, rows)
        result["full"] = {**part, "gradients": digests(grads)}
        whole_tensors.update({f"full.gradient.{n}": t for n, t in grads.items()})

        if spec.get("training", True):
            part, final = compare_training(adapted, batches)
            result["training"] = {"optimiser": OPTIMISER, "schedule": "linear", "steps": TRAIN_STEPS, "batches": batches,
                                  **part, "final": digests(final)}
            whole_tensors.update({f"lora.final.{n}": t for n, t in final.items()})

        for extra in spec.get("also", []):
            if extra == "full-training":
                make, key = all_trainable, "fullTraining"
            elif extra == "modules-to-save":
                make, key = (lambda: adapted(modules_to_save=["embed_tokens", "lm_head"])), "modulesToSave"
            else:
                make, key = (lambda: adapted(trainable_token_indices={"embed_tokens": TOKEN_INDICES})), "trainableTokens"
            part, grads = compare_gradients(make, rows)
            run, final = compare_training(make, batches)
            result[key] = {**part, "gradients": digests(grads), **run, "final": digests(final)}
            if key == "trainableTokens":
                result[key]["indices"] = TOKEN_INDICES
            if key == "modulesToSave":
                result[key]["modules"] = ["embed_tokens", "lm_head"]
            whole_tensors.update({f"{key}.gradient.{n}": t for n, t in grads.items()})
            whole_tensors.update({f"{key}.final.{n}": t for n, t in final.items()})

    if full is not None:
        full.mkdir(parents=True, exist_ok=True)
        save_file({n: t.detach().float().numpy() for n, t in whole_tensors.items()}, full / f"{name}.safetensors")
    return result


def record_greedy(name, spec, no_repeat=0):
    """Prompts of up to 32 tokens and what greedy decoding makes of them; prompts where two tokens come too close are left out."""
    config = spec["config"]
    vocabulary = config.get("vocab_size") or config["padded_vocab_size"]
    prompts, answers, tried, lead = [], [], 0, math.inf
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        write_model(folder, config)
        model = load(folder, torch.float32, spec.get("attention", "sdpa"))
        while len(prompts) < GREEDY_PROMPTS:
            length = 1 + hash_key(SEED, name, "greedy", tried) % 32
            ids = (hash_words(hash_key(SEED, name, "greedy ids", tried), length) % np.uint32(vocabulary)).tolist()
            tried += 1
            answer = greedy(model, ids, GREEDY_TOKENS, no_repeat)
            if answer["smallestLead"] < GREEDY_LEAD:
                continue
            prompts.append(ids)
            answers.append(answer["ids"])
            lead = min(lead, answer["smallestLead"])
    return {"case": name, "noRepeatNgramSize": no_repeat, "tried": tried, "smallestLead": lead, "prompts": prompts, "ids": answers}


def write_greedy(path, only):
    families, chosen = set(), []
    for name, spec in CASES.items():
        kind = spec["config"]["model_type"]
        if (not only or name in only) and (kind not in families or name in GREEDY_ALSO):
            families.add(kind)
            chosen.append((name, spec))
    records = []
    for name, spec in chosen:
        records.append(record_greedy(name, spec))
        # tiny models with tied tables often say the last token again, whatever they attend to
        if sum(len(set(ids)) == 1 for ids in records[-1]["ids"]) >= GREEDY_DULL and spec["config"]["model_type"] not in REFERENCES:
            records.append(record_greedy(name, spec, no_repeat=1))
        print(json.dumps({k: records[-1][k] for k in ("case", "noRepeatNgramSize", "tried", "smallestLead")}), flush=True)
    made = {"script": "bench/parity/record.py --greedy", "seed": SEED, "smallestLead": GREEDY_LEAD,
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__}}
    path.write_text(json.dumps({"made": made, "cases": records}, separators=(",", ":"), allow_nan=False) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=pathlib.Path)
    parser.add_argument("--greedy", type=pathlib.Path)
    parser.add_argument("--full", type=pathlib.Path)
    parser.add_argument("--only", nargs="+")
    options = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    if options.greedy:
        write_greedy(options.greedy, options.only)
    if not options.output:
        return
    options.output.mkdir(parents=True, exist_ok=True)
    for name, spec in CASES.items():
        if options.only and name not in options.only:
            continue
        result = record(name, spec, options.full)
        path = options.output / f"{name}.json"
        path.write_text(json.dumps(result, separators=(",", ":"), allow_nan=False) + "\n")
        extra = {k: (result[k]["torchFloat32"], result[k]["torchFloat64"]) for k in
                 ("fullTraining", "modulesToSave", "trainableTokens") if k in result}
        print(json.dumps({
            "case": name, "bytes": path.stat().st_size, "logits": result["logits"]["torchFloat32"],
            "lora": result["lora"]["torchFloat32"], "full": result["full"]["torchFloat32"],
            **({"training": result["training"]["torchFloat64"],
                "loss": [result["training"]["losses"][0], result["training"]["losses"][-1]]} if "training" in result else {}),
            "lead": result["greedy"]["smallestLead"], **extra}), flush=True)


if __name__ == "__main__":
    main()
