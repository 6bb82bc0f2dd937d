"""Records ids and labels of the two mask recipes with Hugging Face's tokenizer.

Usage: python record.py TOKENIZER_FOLDER OUTPUT.json
The recipes are written down here anew from their published descriptions: Firefly at d1a4a29 (one BOS; each utterance and
EOS; even utterances masked) and LinkSoul's train.py (BOS before each question; answer, blank, EOS trained).
"""

import json
import sys

import tokenizers
import transformers

MASKED = -100
SYSTEM = (
    "            You are a helpful, respectful and honest assistant. Always answer as helpfully as possible, while being safe.  "
    "Your answers should not include any harmful, unethical, racist, sexist, toxic, dangerous, or illegal content. "
    "Please ensure that your responses are socially unbiased and positive in nature.\n\n"
    "            If a question does not make any sense, or is not factually coherent, explain why instead of answering "
    "something not correct. If you don't know the answer to a question, please don't share false information."
)


def firefly(tokenizer, turns, longest):
    ids, trained = [tokenizer.bos_token_id], [0]
    for index, text in enumerate(turns):
        piece = tokenizer.encode(text, add_special_tokens=False) + [tokenizer.eos_token_id]
        ids += piece
        trained += [index % 2] * len(piece)
    ids, trained = ids[:longest], trained[:longest]
    return ids, [i if t else MASKED for i, t in zip(ids, trained)]


def linksoul(tokenizer, turns, longest, system):
    ids, labels = [], []
    for index, text in enumerate(turns):
        if index == 0:
            text = "<<SYS>>\n" + (system or SYSTEM) + "\n<</SYS>>\n\n" + text
        text = text.strip()
        if index % 2 == 0:
            piece = tokenizer.encode("[INST] " + text + " [/INST] ")
            labels += [MASKED] * len(piece)
        else:
            piece = tokenizer.encode(text + " ", add_special_tokens=False) + [tokenizer.eos_token_id]
            labels += piece
        ids += piece
    ids, labels = ids[:longest], labels[:longest]
    end = max((i + 1 for i, label in enumerate(labels) if label != MASKED), default=0)
    return ids[:end], labels[:end]


CONVERSATIONS = [
    {"turns": ["Who are you?", "I am a small model.", "What can you do?", "I can answer."]},
    {"turns": ["  你好，请介绍一下北京。 ", "北京是中国的首都，历史悠久。\n", "谢谢！", "不客气。"], "system": "Be brief."},
    {"turns": ["Write a haiku.\n\nAbout rain.", " Soft rain on the roof,\nthe night listens. "]},
    {"turns": ["Emoji 😀?", "Yes 👍🏽.", "Tabs\tand  blanks", "a\n\nb"], "system": "S"},
]


def main():
    folder, output = sys.argv[1:]
    # From tokenizer.json as it stands, which encodes as SentencePiece does: transformers 5 would build another one.
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=f"{folder}/tokenizer.json", bos_token="<s>", eos_token="</s>"
    )
    cases = []
    for conversation in CONVERSATIONS:
        turns, system = conversation["turns"], conversation.get("system")
        for longest in (2048, 60, 12):
            case = {"turns": turns, "longest": longest}
            if system:
                case["system"] = system
            else:
                case["firefly"] = firefly(tokenizer, turns, longest)
            case["linksoul"] = linksoul(tokenizer, turns, longest, system)
            cases.append(case)
    versions = {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
    record = {"tokenizer": "mistral-7b-v0.2", "versions": versions, "tolerance": "ids and labels are equal", "cases": cases}
    with open(output, "w", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


main()
