"""Records what the Python packages that people use say of 500 answers: jieba's words, LLaMA-Factory's BLEU-4 and ROUGE (rouge_chinese and NLTK as it
calls them), sacrebleu's BLEU and chrF, SQuAD's exact match and F1, and scikit-learn's classification report.

    python bench/eval/record_metrics.py test/goldens/eval/metrics.json

jieba 0.42.1, rouge_chinese 1.0.3, nltk 3.10.4, sacrebleu 2.6.0, scikit-learn 1.9.1. Seed 7; all texts are made up here. Of 500 rows 100 mix Chinese,
Latin and digits. Compared in src/eval/metrics.test.ts, tolerance 1e-9 relative (words and confusion matrices exactly).
"""

import json
import logging
import random
import re
import string
import sys
from collections import Counter
from importlib.metadata import version

import jieba
import sacrebleu
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_chinese import Rouge
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

jieba.setLogLevel(logging.ERROR)
rng = random.Random(7)
tokenizers = ["13a", "zh", "char", "intl", "none"]

english = (
    "the a an of to and in that was model answer quick river seven lanterns don't it's e-mail state-of-the-art weather review "
    "likes never 3.14 1,000 50% $20 U.S. Mr. Fox <b>bold</b> &amp; (perhaps) \"quoted\" re-read naïve café über — … hello, world! why? #tag @home a/b x=y"
).split(" ")
chinese = (
    "今天 天气 很好 不错 我们 去 公园 散步 这个 模型 的 回答 比较 准确 但是 速度 太慢 了 服务员 态度 非常 热情 价格 便宜 质量 一般 下次 还会 再来 物流 快 包装 完好 "
    "他 来到 了 网易 杭研 大厦 小明 硕士 毕业 于 中国 科学院 计算所 结婚 的 和 尚未 结婚 的 机器学习 深度 神经网络 龘靐 魑魅魍魉 乒乓球 拍卖 完了 ， 。 ！ ？ ； ： “ ” 、 …… （ ）"
).split(" ")
latin_in_chinese = (
    "UTF-8 i7-2600 11+122 C++ C# AT&T GPT-4.5 50% 3.14% v1.2.3 foo_bar e-mail T恤 卡拉OK 3D打印 B超 iPhone15 2024年 12.5元 100公里 x86-64 Wi-Fi node.js a.b.c 1-2 -5 +86 U盘 "
    "No.1 24h 7x24 QQ群 ABC公司 PyTorch2.0 第3次 0.5mm 10% IPv6 LGA-1155 DDR4-3200 .net &co ％ １２３ ＡＢＣ 😀 é"
).split(" ")


def sentence(words, low, high, joint):
    return joint.join(rng.choice(words) for _ in range(rng.randint(low, high)))


def change(text, words, joint):
    """Another text with some of the same words, as an answer has."""
    parts = text.split(joint) if joint else [text[i : i + 2] for i in range(0, len(text), 2)]
    for _ in range(rng.randint(0, 4)):
        kind = rng.random()
        at = rng.randrange(len(parts)) if parts else 0
        if kind < 0.35 and parts:
            parts[at] = rng.choice(words)
        elif kind < 0.6 and parts:
            parts.pop(at)
        elif kind < 0.85:
            parts.insert(at, rng.choice(words))
        else:
            rng.shuffle(parts)
    return joint.join(parts)


def pairs():
    rows = []
    for i in range(200):
        text = sentence(english, 1, 25, " ")
        rows.append(("english", change(text, english, " "), text))
    for i in range(180):
        text = sentence(chinese, 1, 30, "")
        rows.append(("chinese", change(text, chinese, ""), text))
    mixed = chinese + latin_in_chinese * 2
    for i in range(100):
        text = sentence(mixed, 2, 24, "" if i % 3 else " ")
        rows.append(("mixed", change(text, mixed, "" if i % 3 else " "), text))
    edges = [
        ("", "答案"), ("答案", ""), ("", ""), (" \n ", "答案 "), ("。", "。"), ("a", "a"), ("ab", "ab"), ("abc", "abcd"), ("the", "a"), ("\n\n换行\n", "换行\r\n"),
        ("正面", "负面"), ("正面。", "正面"), ("x\u00a0y\u3000z", "x y z"), ("tab\tend ", "tab end"), ("3.5.", "3.5 ."), ("1-2-3", "1 - 2 - 3"),
        ("一二三四五六七八九十" * 12, "一二三四五六七八九十" * 11 + "末"), ("What ?! No . . .", "What?! No..."), ("……是吗？”他问。", "……是吗？” 他问 。"), ("\u2001\u2028zh", "zh\u2001"),
    ]
    return rows + [("edge", *pair) for pair in edges]


def similarity(pred, label):
    """As LLaMA-Factory's ComputeSimilarity calls the packages."""
    hypothesis, reference = list(jieba.cut(pred)), list(jieba.cut(label))
    if len(" ".join(hypothesis).split()) == 0 or len(" ".join(reference).split()) == 0:
        scores = {name: {"f": 0.0} for name in ("rouge-1", "rouge-2", "rouge-l")}
    else:
        scores = Rouge().get_scores(" ".join(hypothesis), " ".join(reference))[0]
    result = {name: round(score["f"] * 100, 4) for name, score in scores.items()}
    bleu = sentence_bleu([list(label)], list(pred), smoothing_function=SmoothingFunction().method3)
    return {**result, "bleu-4": round(bleu * 100, 4)}


def squad_words(text):
    """The normalisation of SQuAD's official script, version 1.1."""
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def squad_f1(pred, label):
    mine, theirs = squad_words(pred), squad_words(label)
    shared = sum((Counter(mine) & Counter(theirs)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(mine), shared / len(theirs)
    return 2 * precision * recall / (precision + recall)


def bleu(tokenizer, effective):
    return sacrebleu.BLEU(tokenize=tokenizer, effective_order=effective)


def row(kind, pred, label):
    return {
        "kind": kind,
        "predict": pred,
        "label": label,
        "words": [list(jieba.cut(pred)), list(jieba.cut(label))],
        "similarity": similarity(pred, label),
        "bleu": {name: bleu(name, True).sentence_score(pred, [label]).score for name in tokenizers},
        "chrf": sacrebleu.CHRF().sentence_score(pred, [label]).score,
        "chrf++": sacrebleu.CHRF(word_order=2).sentence_score(pred, [label]).score,
        "exact": int(squad_words(pred) == squad_words(label)),
        "f1": squad_f1(pred, label),
    }


def corpus(rows):
    preds, labels = [r["predict"] for r in rows], [[r["label"] for r in rows]]
    result = {"bleu": {}, "signatures": {}}
    for name in tokenizers:
        metric = bleu(name, False)
        result["bleu"][name] = metric.corpus_score(preds, labels).score
        result["signatures"][name] = str(metric.get_signature())
    for name, order in (("chrf", 0), ("chrf++", 2)):
        metric = sacrebleu.CHRF(word_order=order)
        result[name] = metric.corpus_score(preds, labels).score
        result["signatures"][name] = str(metric.get_signature())
    return result


def classification(count, labels):
    truth = [rng.choice(labels) for _ in range(count)]
    # an answer that means no label is a class of its own for scikit-learn
    pred = [t if rng.random() < 0.7 else rng.choice([*labels, "unmapped"]) for t in truth]
    precision, recall, f1, support = precision_recall_fscore_support(truth, pred, labels=labels, zero_division=0)
    return {
        "labels": labels,
        "truth": truth,
        "predicted": pred,
        "accuracy": accuracy_score(truth, pred),
        "precision": list(precision),
        "recall": list(recall),
        "f1": list(f1),
        "support": [int(n) for n in support],
        "macro_f1": precision_recall_fscore_support(truth, pred, labels=labels, average="macro", zero_division=0)[2],
        "confusion": confusion_matrix(truth, pred, labels=[*labels, "unmapped"]).tolist()[: len(labels)],
    }


rows = [row(*pair) for pair in pairs()]
assert len(rows) == 500 and sum(r["kind"] == "mixed" for r in rows) == 100
shuffled = rng.sample(range(500), 500)
corpora = [sorted(shuffled[i : i + 50]) for i in range(0, 500, 50)]
names = ["jieba", "rouge_chinese", "nltk", "sacrebleu", "scikit-learn"]
label_sets = [["positive", "negative"], ["正面", "负面", "中性"], [f"class {i}" for i in range(12)], ["a", "never"]]
golden = {
    "versions": {name: version(name) for name in names},
    "seed": 7,
    "rows": rows,
    "corpora": [{"rows": ids, **corpus([rows[i] for i in ids])} for ids in corpora],
    "classification": [classification(rng.randint(1, 120), rng.choice(label_sets)) for _ in range(20)],
}
with open(sys.argv[1], "w", encoding="utf-8") as file:
    json.dump(golden, file, ensure_ascii=False, separators=(",", ":"))
