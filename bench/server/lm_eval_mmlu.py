"""lm-evaluation-harness against `fettle serve`, unchanged (model `local-completions`), beside transformers through the same harness.

    PYTHON bench/server/lm_eval_mmlu.py MODEL MMLU_FOLDER WORK [--shots 0] [--limit 20] [--texts 20] [--subjects a,b]
    PYTHON bench/server/lm_eval_mmlu.py assets/demo/model made-up WORK --subjects global_facts --record test/goldens/server/lm-eval.json

lm_eval 0.4.13, transformers 5.23, torch 2.13, float32. MMLU_FOLDER holds dev/ and test/ as CSV files. Compared are the accuracy, every log-likelihood,
and the texts of a generation task on the same questions. --record writes a handful of the requests that came, with what transformers gives for
them, for src/server/lm-eval.test.ts, from questions that are made up here. Exit code 1 where a score or a text differs.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import lm_eval
import torch
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("mmlu")
parser.add_argument("work")
parser.add_argument("--shots", type=int, default=0)
parser.add_argument("--limit", type=int, default=20)
parser.add_argument("--texts", type=int, default=20, help="how many questions a subject are also answered in words")
parser.add_argument("--subjects", default="global_facts,world_religions,astronomy,machine_learning")
parser.add_argument("--max-length", type=int, default=512)
parser.add_argument("--record")
options = parser.parse_args()
torch.set_num_threads(2)
os.makedirs(options.work, exist_ok=True)
subjects = options.subjects.split(",")
root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
harness_tasks = os.path.join(os.path.dirname(lm_eval.__file__), "tasks")


def make_up(folder):
    """Questions in the form of the published files."""
    towns = [("Velmora", "stone"), ("Quillby", "timber"), ("Ostrand", "clay"), ("Berrowick", "glass")]
    for part in ("dev", "test"):
        os.makedirs(f"{folder}/{part}", exist_ok=True)
        with open(f"{folder}/{part}/global_facts_{part}.csv", "w", encoding="utf-8", newline="") as to:
            for i, (town, material) in enumerate(towns):
                csv.writer(to).writerow([f"What are the houses of {town} built of?", *(each for _, each in towns), "ABCD"[i]])
    return folder


def write_task(subject):
    """lm_eval's own task of a subject with local files, and the same questions as a generation task."""
    files = {}
    for part in ("dev", "test"):
        files[part] = os.path.abspath(f"{options.work}/{subject}_{part}.jsonl")
        with open(f"{options.mmlu}/{part}/{subject}_{part}.csv", encoding="utf-8", newline="") as source, open(files[part], "w", encoding="utf-8") as to:
            for question, *choices, answer in csv.reader(source):
                to.write(json.dumps({"question": question, "choices": choices, "answer": "ABCD".index(answer)}) + "\n")
    data = "dataset_path: json\ndataset_name: null\ntest_split: test\nfewshot_split: dev\ndataset_kwargs:\n  data_files:\n"
    data += "".join(f"    {part}: {path}\n" for part, path in files.items())
    with open(f"{options.work}/own_{subject}.yaml", "w", encoding="utf-8") as to:
        to.write(f"include: {harness_tasks}/mmlu/default/mmlu_{subject}.yaml\ntask: own_{subject}\n{data}")
    with open(f"{options.work}/text_{subject}.yaml", "w", encoding="utf-8") as to:
        to.write(f"task: text_{subject}\n{data}output_type: generate_until\n")
        to.write('doc_to_text: "{{question.strip()}}\\nAnswer:"\ndoc_to_target: "{{choices[answer]}}"\n')
        to.write('generation_kwargs:\n  until: ["\\n\\n", "."]\n  max_gen_toks: 16\n  do_sample: false\n  temperature: 0.0\n')
        to.write("metric_list:\n  - metric: exact_match\n    aggregation: mean\n    higher_is_better: true\n")


recorded = []


class Recorder(BaseHTTPRequestHandler):
    """Stands between harness and server and keeps what both say."""

    target = ""

    def relay(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name: self.headers[name] for name in ("content-type", "authorization") if self.headers[name]}
        request = urllib.request.Request(self.target + self.path, data=body or None, headers=headers, method=self.command)
        try:
            with urllib.request.urlopen(request, timeout=600) as response:
                status, answer = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, answer = error.code, error.read()
        recorded.append({"method": self.command, "path": self.path, "body": json.loads(body) if body else None, "status": status})
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_HEAD = relay

    def log_message(self, *_):
        pass


def run(harness, limit):
    found = {"results": {}, "samples": {}}
    for form, most in (("own", limit), ("text", min(limit, options.texts))):
        names = [f"{form}_{subject}" for subject in subjects]
        part = simple_evaluate(model=harness, tasks=names, num_fewshot=options.shots, limit=most, task_manager=TaskManager(include_path=options.work), log_samples=True, bootstrap_iters=0)
        for kind, values in found.items():
            values.update(part[kind])
    for samples in found["samples"].values():
        samples.sort(key=lambda sample: sample["doc_id"])
    return found


def likelihood(response):
    return float(response[0]), str(response[1]) == "True"


if options.mmlu == "made-up":
    options.mmlu = make_up(f"{options.work}/made-up")
for subject in subjects:
    write_task(subject)
# the harness keeps max_length + 1 tokens of a question here, and max_length - 1 for a server
reference = HFLM(pretrained=options.model, dtype="float32", batch_size=4, device="cpu", max_length=options.max_length - 2)
# here it leaves it to the tokenizer whether a question begins with the token for that, for a server it adds none unless told
begins = reference.tokenizer("a")["input_ids"][0] == reference.tokenizer.bos_token_id
# the model's own limit of new tokens would go before the task's
reference.model.generation_config.max_new_tokens = None
expected = run(reference, options.limit)

command = ["node", "--import", "tsx", "src/cli/main.ts", "serve", f"model_name_or_path={os.path.abspath(options.model)}", "served_model_name=m", "port=0", "infer_dtype=float32", "--json"]
server = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
try:
    Recorder.target = json.loads(server.stdout.readline())["url"]
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    arguments = {"model": "m", "base_url": f"http://127.0.0.1:{proxy.server_port}/v1/completions", "num_concurrent": 4, "batch_size": 4, "max_length": options.max_length, "add_bos_token": begins, "timeout": 600}
    ours = run(lm_eval.api.registry.get_model("local-completions")(**arguments), options.limit)
finally:
    server.terminate()
    server.wait()

failures = 0
worst = 0.0
greedy_differs = 0
questions = 0
for subject in subjects:
    name = f"own_{subject}"
    a, b = (side["results"][name]["acc,none"] for side in (expected, ours))
    failures += a != b
    for left, right in zip(expected["samples"][name], ours["samples"][name], strict=True):
        questions += 1
        for x, y in zip(left["resps"], right["resps"], strict=True):
            (p, greedy), (q, also) = likelihood(x[0]), likelihood(y[0])
            worst = max(worst, abs(p - q))
            greedy_differs += greedy != also
    texts = [(left["resps"][0][0], right["resps"][0][0]) for left, right in zip(expected["samples"][f"text_{subject}"], ours["samples"][f"text_{subject}"], strict=True)]
    # transformers decodes the new tokens alone, and tokenizers of SentencePiece's kind then drop the space before the first word
    texts = [(x.lstrip(" "), y.lstrip(" ")) for x, y in texts]
    same = sum(x == y for x, y in texts)
    failures += same != len(texts)
    print(f"{subject}: acc {a:.4f} transformers, {b:.4f} fettle serve; texts equal {same}/{len(texts)}", flush=True)
    for x, y in texts:
        if x != y:
            print("  differs:", repr(x), repr(y))
total = [sum(side["results"][f"own_{s}"]["acc,none"] * len(side["samples"][f"own_{s}"]) for s in subjects) / questions for side in (expected, ours)]
print(f"MMLU over {questions} questions, {options.shots} shots: {total[0]:.4f} transformers, {total[1]:.4f} fettle serve")
print(f"largest difference of a log-likelihood {worst:.2e}, greedy flags that differ {greedy_differs}, requests {len(recorded)}, statuses {sorted({r['status'] for r in recorded})}")

if options.record:
    scored = [r for r in recorded if r["path"] == "/v1/completions" and r["body"].get("echo")]
    texts = [r for r in recorded if r["path"] == "/v1/completions" and not r["body"].get("echo")]
    others = {r["path"]: r for r in recorded if r["path"] != "/v1/completions"}
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
    model.generation_config.max_new_tokens = None
    tokenizer = AutoTokenizer.from_pretrained(options.model)

    def with_scores(request):
        rows = []
        for ids in request["body"]["prompt"]:
            with torch.no_grad():
                logs = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)
            rows.append([round(float(logs[i, token]), 7) for i, token in enumerate(ids[1:])])
        return {**request, "token_logprobs": rows}

    def with_texts(request):
        rows = []
        for ids in request["body"]["prompt"]:
            made = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=request["body"]["max_tokens"])[0, len(ids) :]
            rows.append(tokenizer.decode(made, skip_special_tokens=True))
        # cut at the first stop text, as OpenAI's endpoint does
        for i, text in enumerate(rows):
            rows[i] = text[: min([text.find(stop) for stop in request["body"]["stop"] if stop in text], default=len(text))]
        return {**request, "texts": rows}

    versions = {name: version(name) for name in ("lm_eval", "transformers", "torch")}
    with open(options.record, "w", encoding="utf-8") as to:
        json.dump({"versions": versions, "others": list(others.values()), "scored": [with_scores(r) for r in scored[:2]], "generated": [with_texts(r) for r in texts[:2]]}, to, ensure_ascii=False, separators=(",", ":"))
sys.exit(1 if failures else 0)
