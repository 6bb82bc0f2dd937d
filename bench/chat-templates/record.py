"""Records what transformers renders for the chat templates that stand outside the repository.

    python bench/chat-templates/record.py --data ../shared/data --output test/goldens/chat-templates.json

Only renderings of our own conversations are recorded; the templates themselves are read from --data by the test, which
is skipped where they are absent. A template that refuses a conversation is recorded as null. Nothing is random.
"""
import argparse
import hashlib
import json
import pathlib

import jinja2
import transformers
from transformers.utils.chat_template_utils import render_jinja_template

TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up_tide",
        "description": "Tide table of a harbour, in metres – \"chart datum\"",
        "parameters": {
            "type": "object",
            "properties": {"harbour": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["harbour"],
        },
    },
}
SYSTEM = {"role": "system", "content": "  You answer in one sentence.\n"}
TURNS = [
    {"role": "user", "content": "Name a harbour.\r\n\r\nAny will do. "},
    {"role": "assistant", "content": "Brest, naturally: 北の港 <b>&</b> \"quotes\""},
    {"role": "user", "content": "  And its tide?"},
    {"role": "assistant", "content": "About seven metres.\n\nAt springs."},
    {"role": "user", "content": "Thanks 👩‍🚀"},
    {"role": "assistant", "content": "You are welcome. "},
]
CALL = {"type": "function", "function": {"name": "look_up_tide", "arguments": {"harbour": "Brest", "days": 2}}}
TOOL_TURNS = [
    TURNS[0],
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "{\"metres\": [6.9, 7.1]}", "name": "look_up_tide"},
    {"role": "assistant", "content": "Nearly seven metres."},
]


def conversations():
    for turns in (1, 2, 3):
        messages = TURNS[: 2 * turns]
        for system in (False, True):
            start = [SYSTEM] if system else []
            name = f"{turns} turns{', system' if system else ''}"
            yield name, start + messages, None, False
            yield f"{name}, prompt", start + messages[:-1], None, True
    for system in (False, True):
        start = [SYSTEM] if system else []
        name = f"tools{', system' if system else ''}"
        yield name, start + TOOL_TURNS, [TOOL], False
        yield f"{name}, prompt", start + TOOL_TURNS[:-1], [TOOL], True
        yield f"{name}, first prompt", start + TOOL_TURNS[:1], [TOOL], True


def templates(data):
    for path in sorted((data / "chat_templates").glob("*.jinja")):
        yield f"chat_templates/{path.name}", path.read_bytes().decode()
    for name in ("qwen2/tokenizer_config.json", "qwen2/tokenizer_config.qwen2.5.json", "mistral-7b-v0.2/tokenizer_config.json"):
        yield f"tokenizers/{name}", json.loads((data / "tokenizers" / name).read_text())["chat_template"]


def render(template, messages, tools, prompt):
    try:
        rendered, _ = render_jinja_template(
            [messages], tools=tools, chat_template=template, add_generation_prompt=prompt, **TOKENS
        )
        return rendered[0]
    except jinja2.exceptions.TemplateError:
        return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    cases = list(conversations())
    record = {
        "versions": {"transformers": transformers.__version__, "jinja2": jinja2.__version__},
        "tokens": TOKENS,
        "conversations": [
            {"name": name, "messages": messages, "tools": tools, "addGenerationPrompt": prompt}
            for name, messages, tools, prompt in cases
        ],
        "templates": {
            name: {
                "sha256": hashlib.sha256(template.encode()).hexdigest(),
                "renderings": [render(template, messages, tools, prompt) for _, messages, tools, prompt in cases],
            }
            for name, template in templates(arguments.data)
        },
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
