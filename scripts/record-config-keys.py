"""Records the names of all configuration keys of transformers and LLaMA-Factory, as the test of src/config reads them.

Usage: python scripts/record-config-keys.py LLAMA_FACTORY_GIT_DIR > src/config/fixtures/known-names.json
Reads transformers' Seq2SeqTrainingArguments (installed version, plus the names of 4.x that 5 removed) and the fields of
the dataclasses in src/**/hparams of LLaMA-Factory's HEAD and of its last release of each minor version.
"""

import dataclasses
import json
import re
import subprocess
import sys

import transformers
from transformers import Seq2SeqTrainingArguments

# Fields of transformers 4.x that version 5 no longer has; people's files still do.
REMOVED = """overwrite_output_dir evaluation_strategy per_gpu_train_batch_size per_gpu_eval_batch_size warmup_ratio
logging_dir no_cuda use_mps_device jit_mode_eval use_ipex half_precision_backend fp16_opt_level fp16_backend past_index
group_by_length adafactor sharded_ddp fsdp_min_num_params fsdp_transformer_layer_cls_to_wrap push_to_hub_model_id
push_to_hub_organization push_to_hub_token mp_parameters ray_scope torchdynamo include_inputs_for_metrics
include_tokens_per_second dispatch_batches split_batches tpu_num_cores tpu_metrics_debug xpu_backend save_safetensors
""".split()


def git(directory, *arguments):
    return subprocess.run(["git", "-C", directory, *arguments], check=True, capture_output=True, text=True).stdout


def fields(directory, revision):
    files = git(directory, "ls-tree", "-r", "--name-only", revision, "src").split()
    names = set()
    for file in files:
        if re.search(r"hparams/.*_args\.py$", file):
            source = git(directory, "show", f"{revision}:{file}")
            names.update(re.findall(r"^    ([a-z][a-z0-9_]*): .*= field", source, re.M))
    return sorted(names)


directory = sys.argv[1]
tags = [tag for tag in git(directory, "tag", "--sort=version:refname").split() if re.match(r"v0\.[5-9]\.", tag)]
last = {tag.rsplit(".", 1)[0]: tag for tag in tags}
revisions = [*last.values(), "HEAD"]
head = git(directory, "rev-parse", "HEAD").strip()
print(
    json.dumps(
        {
            "transformers": {
                "version": transformers.__version__,
                "names": sorted({f.name for f in dataclasses.fields(Seq2SeqTrainingArguments)} | set(REMOVED)),
            },
            "llamafactory": {
                "revisions": [*last.values(), head],
                "names": sorted({name for revision in revisions for name in fields(directory, revision)}),
            },
        },
        indent=1,
    )
)
