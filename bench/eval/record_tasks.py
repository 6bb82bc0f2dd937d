"""Records how lm-evaluation-harness 0.4.13 words and scores tasks, with files made up here in the form of the published ones.

    python bench/eval/record_tasks.py MODEL_FOLDER WORK_FOLDER test/goldens/eval/tasks.json [MMLU_FOLDER]

lm_eval 0.4.13, transformers 5.23, torch 2.13, seed 11. The tasks are lm_eval's own YAML with the data set replaced by local files. Recorded: contexts and
continuations of MMLU, C-Eval, CMMLU and LAMBADA, the rolling windows of a text, and what the model (the demo model of this repository) gives for each.
With MMLU_FOLDER (dev/ and test/ of CSV files) the accuracy on it is printed, to be compared with `fettle eval`.
"""

import csv
import json
import os
import random
import sys
from importlib.metadata import version

import torch
from lm_eval import simple_evaluate, utils
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

torch.manual_seed(0)
torch.set_num_threads(1)
model_folder, work, output = sys.argv[1:4]
rng = random.Random(11)
os.makedirs(work, exist_ok=True)
lm_eval_tasks = os.path.join(os.path.dirname(sys.modules["lm_eval"].__file__), "tasks")


def write_jsonl(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def make_question(words, joint):
    text = joint.join(rng.choice(words) for _ in range(rng.randint(3, 9)))
    # blanks and newlines around a question are taken off by the harness, not those of answers
    question = rng.choice(["", " ", "\n"]) + text + rng.choice(["?", "? ", "\nWhich one?"])
    choices = [joint.join(rng.choice(words) for _ in range(rng.randint(1, 3))) for _ in range(4)]
    return question, choices, rng.randrange(4)


english = "stars move in circles around small red towns where Anna sold 3 lamps and 12.5 kg of tea".split(" ")
chinese = "农民 在 春天 种 水稻 法律 规定 公司 必须 缴纳 税款 星星 围绕 城市 运动 3 个 灯 和 12.5 公斤 茶".split(" ")


def harness_tasks():
    """Name of the task -> YAML that includes lm_eval's own and puts local files in place of the data set."""
    made = {}
    subjects = {
        "mmlu": ("mmlu/default", "mmlu_astronomy.yaml", "astronomy", "test"),
        "ceval": ("ceval", "ceval-valid_law.yaml", "law", "validation"),
        "cmmlu": ("cmmlu", "cmmlu_agronomy.yaml", "agronomy", "test"),
    }
    for name, (folder, file, subject, split) in subjects.items():
        words, joint = (english, " ") if name == "mmlu" else (chinese, "")
        shots = [make_question(words, joint) for _ in range(6)]
        questions = [make_question(words, joint) for _ in range(8)]

        def row(item):
            question, choices, answer = item
            if name == "mmlu":
                return {"question": question, "choices": choices, "answer": answer}
            letters = dict(zip("ABCD", choices))
            field = "question" if name == "ceval" else "Question"
            return {field: question, **letters, ("answer" if name == "ceval" else "Answer"): "ABCD"[answer]}

        files = {
            "dev": write_jsonl(f"{work}/{name}_dev.jsonl", map(row, shots)),
            split: write_jsonl(f"{work}/{name}_{split}.jsonl", map(row, questions)),
        }
        own = f"{work}/own_{name}.yaml"
        split_key = "validation_split" if split == "validation" else "test_split"
        with open(own, "w", encoding="utf-8") as file_out:
            file_out.write(f"include: {lm_eval_tasks}/{folder}/{file}\ntask: own_{name}\ndataset_path: json\ndataset_name: null\n")
            file_out.write(f"{split_key}: {split}\nfewshot_split: dev\ndataset_kwargs:\n  data_files:\n")
            for key, path in files.items():
                file_out.write(f"    {key}: {os.path.abspath(path)}\n")
        made[name] = {"subject": subject, "shots": shots, "questions": questions}
    passages = [" ".join(rng.choice(english) for _ in range(12)) + "." * (i % 2) for i in range(6)]
    path = write_jsonl(f"{work}/lambada.jsonl", ({"text": text} for text in passages))
    with open(f"{work}/own_lambada.yaml", "w", encoding="utf-8") as file_out:
        file_out.write(f"include: {lm_eval_tasks}/lambada/lambada_standard.yaml\ntask: own_lambada\ndataset_path: json\ndataset_name: null\n")
        file_out.write(f"test_split: test\nvalidation_split: null\ndataset_kwargs:\n  data_files:\n    test: {os.path.abspath(path)}\n")
    made["lambada"] = {"passages": passages}
    return made


def run(names, shots):
    return simple_evaluate(
        model=harness, tasks=names, num_fewshot=shots, task_manager=TaskManager(include_path=work), log_samples=True, bootstrap_iters=0
    )


harness = HFLM(pretrained=model_folder, dtype="float32", batch_size=4, device="cpu")
tasks = harness_tasks()
for name in ("mmlu", "ceval", "cmmlu", "lambada"):
    for shots in (5, 0) if name != "lambada" else (0,):
        found = run([f"own_{name}"], shots)
        samples = sorted(found["samples"][f"own_{name}"], key=lambda sample: sample["doc_id"])
        tasks[name][f"shots_{shots}"] = [
            {
                "arguments": [list(sample["arguments"][key].values()) if isinstance(sample["arguments"], dict) else list(sample["arguments"][key]) for key in (sample["arguments"] if isinstance(sample["arguments"], dict) else range(len(sample["arguments"])))],
                "responses": [[float(response[0][0]), str(response[0][1]) == "True"] for response in sample["resps"]],
            }
            for sample in samples
        ]
        results = found["results"][f"own_{name}"]
        tasks[name][f"metrics_{shots}"] = {key.split(",")[0]: value for key, value in results.items() if key.endswith(",none") and isinstance(value, float)}

windows = []
for count, longest in ((1, 4), (4, 4), (5, 4), (23, 6), (40, 40), (41, 40)):
    tokens = list(range(100, 100 + count))
    made = map(utils.make_disjoint_window, utils.get_rolling_token_windows(tokens, prefix_token=1, max_seq_len=longest, context_len=1))
    windows.append({"count": count, "longest": longest, "windows": [[list(a), list(b)] for a, b in made]})
with open(output, "w", encoding="utf-8") as file:
    json.dump({"versions": {name: version(name) for name in ("lm_eval", "transformers", "torch")}, "seed": 11, "tasks": tasks, "windows": windows}, file, ensure_ascii=False, separators=(",", ":"))

if len(sys.argv) > 4:
    folder = sys.argv[4]
    right = []
    for name in sorted(os.listdir(f"{folder}/test")):
        subject = name[: -len("_test.csv")]

        def rows(part):
            with open(f"{folder}/{part}/{subject}_{part}.csv", encoding="utf-8", newline="") as file:
                for question, *choices, answer in csv.reader(file):
                    yield {"question": question, "choices": choices, "answer": "ABCD".index(answer)}

        dev, test = write_jsonl(f"{work}/real_dev.jsonl", rows("dev")), write_jsonl(f"{work}/real_{subject}.jsonl", list(rows("test"))[:20])
        with open(f"{work}/real_{subject}.yaml", "w", encoding="utf-8") as file_out:
            file_out.write(f"include: {lm_eval_tasks}/mmlu/default/mmlu_{subject}.yaml\ntask: real_{subject}\ndataset_path: json\ndataset_name: null\n")
            file_out.write(f"test_split: test\nfewshot_split: dev\ndataset_kwargs:\n  data_files:\n    dev: {os.path.abspath(dev)}\n    test: {os.path.abspath(test)}\n")
        found = run([f"real_{subject}"], 5)["results"][f"real_{subject}"]
        print(subject, found["acc,none"], found.get("sample_len"), flush=True)
