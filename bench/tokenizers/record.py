"""Records what Hugging Face tokenizers (Rust) gives for small tokenizers that use every component known here.

    python bench/tokenizers/record.py --output test/goldens/tokenizers.json

Each tokenizer is trained below on a few sentences of our own; its tokenizer.json, and ids, offsets and decodings of hard
texts, are recorded. Training breaks some ties by chance, so a new recording differs; each is complete in itself.
"""
import argparse
import json
import pathlib
import struct

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "The tide came in slowly, and the harbour filled with small grey boats.",
    "She counted 12,345 gulls; he counted 67 — nobody counted the fish!",
    "Straße, façade, naïve, Ångström, coöperate, İstanbul, ﬁnal, ½ cup.",
    "Les marées d'équinoxe sont plus fortes que les autres marées.",
    "潮水慢慢涨了上来，港口里停满了灰色的小船。她数了一万二千只海鸥。",
    "ゆっくりと潮が満ちて、港は小さな灰色の船でいっぱいになった。",
    "조수가 천천히 들어오고 항구는 작은 회색 배들로 가득 찼다.",
    "Прилив медленно наполнял гавань, и чайки кричали над водой.",
    "def tide(day):\n    return 7.0 if day % 14 == 0 else 3.5\n\n\n\tprint(tide(3))",
    "the the the tide tides tidal harbour harbours harbouring counted counting count",
] * 3

TEXTS = [
    "",
    " ",
    "  two  blanks  ",
    "The tide came in slowly.",
    "the harbours' tides aren't counted, they're COUNTED!",
    "12345 67.89 ½ ² ٣٤",
    "Straße façade nai\u0308ve A\u030angstro\u0308m İstanbul ﬁnal",
    "潮水慢慢涨了上来。She counted 海鸥!",
    "한국어 조수 \u1112\u1161\u11ab\u1100\u1173\u11af",
    "ｆｕｌｌ ｗｉｄｔｈ ｶﾅ ﾊﾞ",
    "tabs\tand\nnew\r\nlines\n\n\n  end ",
    "\u00a0nbsp\u2003em\u3000ideographic\u200bzero\ufeffbom\u0085nel",
    "emoji 👩‍🚀👨‍👩‍👧 🇫🇷 🏳️‍🌈",
    "unknown: ꙮ 𓂀 \U0010fffd",
    "<s>The tide</s> in<s> <mask> x<mask>y tokentoken token tokens [A] [a]",
    "\u2581literal metaspace\u2581 and <0x41>",
    "a" * 90 + " " + "ab" * 45,
    "control \u0000 \u0007 \u009f chars",
    "don't DON'T I'LL we'Ve it'ſ",
    "trailing spaces   ",
    "   leading",
    "mixed123abc456 x1y2z3",
    "a.b,c;d:e!f?g(h)i[j]k{l}m",
    "العربية مُدّ וגאות हिन्दी ज्वार ไทย",
]

SPECIAL = [AddedToken("<unk>", special=True, normalized=False), AddedToken("<s>", special=True, normalized=False), AddedToken("</s>", special=True, normalized=False)]


def trained(model, trainer_class, normalizer=None, pre=None, decoder=None, post=None, size=420, added=(), **options):
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre is not None:
        tokenizer.pre_tokenizer = pre
    tokenizer.train_from_iterator(CORPUS, trainer_class(vocab_size=size, special_tokens=SPECIAL, show_progress=False, **options))
    if decoder is not None:
        tokenizer.decoder = decoder
    if post is not None:
        tokenizer.post_processor = post
    tokenizer.add_tokens(list(added))
    return tokenizer


ALPHABET = pre_tokenizers.ByteLevel.alphabet()
GPT4 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
BYTES = {"trainer_class": trainers.BpeTrainer, "initial_alphabet": ALPHABET, "decoder": decoders.ByteLevel()}
SPM_DECODER = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
BOS = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
BOTH = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])


def byte_fallback_bpe(**options):
    """A BPE with byte fallback: trained without, then the byte pieces are put into its vocabulary."""
    base = trained(models.BPE(unk_token="<unk>"), trainers.BpeTrainer, pre=pre_tokenizers.Metaspace(prepend_scheme="always"), size=360)
    data = json.loads(base.to_str())
    vocab = data["model"]["vocab"]
    for byte in range(256):
        vocab.setdefault(f"<0x{byte:02X}>", len(vocab))
    data["model"].update({"byte_fallback": True, "fuse_unk": True, **options})
    return data


def character_map(rules):
    """A SentencePiece character map: a Darts double array over UTF-8 keys, then the replacements, each ended by 0."""
    values = b""
    trie = {}
    for key, replacement in rules.items():
        node = trie
        for byte in key.encode():
            node = node.setdefault(byte, {})
        node[0] = len(values)
        values += replacement.encode() + b"\0"
    units = {0: 0}

    def place(node, position):
        labels = sorted(node)
        offset = 1
        while any((position ^ offset ^ label) in units for label in labels):
            offset += 1
        assert offset < 1 << 21
        units[position] |= offset << 10 | (1 << 8 if 0 in node else 0)
        for label in labels:
            units[position ^ offset ^ label] = node[0] | 1 << 31 if label == 0 else label
        for label in labels:
            if label != 0:
                place(node[label], position ^ offset ^ label)

    place(trie, 0)
    size = (max(units) + 256) // 256 * 256
    array = b"".join(struct.pack("<I", units.get(i, 0)) for i in range(size))
    return struct.pack("<I", len(array)) + array + values


CHARACTER_RULES = {"ﬁ": "fi", "½": "1/2", "²": "2", "\u00a0": " ", "\t": " ", "\u200b": "", "a\u0308": "ä", "A\u030a": "Å", "ß": "ss", "港": "港口", "🇫🇷": "FR", "ｆ": "f", "ｶ": "カ"}


def cases():
    yield "gpt2", trained(models.BPE(), pre=pre_tokenizers.ByteLevel(add_prefix_space=False), post=processors.ByteLevel(trim_offsets=False), **BYTES)
    yield "gpt2-prefix", trained(models.BPE(), pre=pre_tokenizers.ByteLevel(add_prefix_space=True), **BYTES)
    split = lambda pattern: pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    yield "llama3-like", trained(models.BPE(ignore_merges=True), pre=split(GPT4), post=BOS, size=600, **BYTES)
    yield "o200k-like", trained(models.BPE(), normalizer=normalizers.NFC(), pre=split(O200K), **BYTES)
    yield "falcon-like", trained(
        models.BPE(),
        pre=pre_tokenizers.Sequence(
            [
                pre_tokenizers.Punctuation("contiguous"),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
                pre_tokenizers.Digits(individual_digits=False),
                pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated"),
            ]
        ),
        **BYTES,
    )
    yield "deepseek-like", trained(
        models.BPE(),
        pre=pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex("[\r\n]"), "isolated"),
                pre_tokenizers.Split(Regex("\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯ]+"), "isolated"),
                pre_tokenizers.Split(Regex("\\s?[!-/:-~！-／：-～‘-‟　-。]+"), "isolated"),
                pre_tokenizers.Split(Regex("\\s+$"), "isolated"),
                pre_tokenizers.Split(Regex("[一-龥ࠀ-一가-퟿]+"), "isolated"),
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
        **BYTES,
    )
    yield "spm-bpe-legacy", {
        **byte_fallback_bpe(),
        "normalizer": json.loads(normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]).__getstate__()),
        "pre_tokenizer": None,
        "decoder": json.loads(SPM_DECODER.__getstate__()),
        "post_processor": json.loads(BOS.__getstate__()),
    }
    for scheme in ("first", "always", "never"):
        yield f"spm-bpe-{scheme}", {
            **byte_fallback_bpe(),
            "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": scheme == "always"},
            "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": True},
        }
    yield "bpe-unknown", trained(
        models.BPE(unk_token="<unk>", fuse_unk=False), trainers.BpeTrainer, pre=pre_tokenizers.Whitespace(), decoder=decoders.Fuse(), limit_alphabet=60
    )
    yield "bpe-unknown-fused", trained(
        models.BPE(unk_token="<unk>", fuse_unk=True), trainers.BpeTrainer, pre=pre_tokenizers.WhitespaceSplit(), decoder=decoders.Fuse(), limit_alphabet=60
    )
    yield "bpe-no-unknown", trained(
        models.BPE(), trainers.BpeTrainer, pre=pre_tokenizers.BertPreTokenizer(), decoder=decoders.Fuse(), limit_alphabet=60
    )
    yield "bpe-suffix", trained(
        models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"),
        trainers.BpeTrainer,
        normalizer=normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex("\\s+"), " "), normalizers.Lowercase()]),
        pre=pre_tokenizers.Split(Regex(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True),
        decoder=decoders.BPEDecoder(),
        end_of_word_suffix="</w>",
    )
    yield "bert-uncased", trained(
        models.WordPiece(unk_token="<unk>", max_input_chars_per_word=50),
        trainers.WordPieceTrainer,
        normalizer=normalizers.BertNormalizer(),
        pre=pre_tokenizers.BertPreTokenizer(),
        decoder=decoders.WordPiece(),
        post=BOTH,
    )
    yield "bert-cased", trained(
        models.WordPiece(unk_token="<unk>"),
        trainers.WordPieceTrainer,
        normalizer=normalizers.BertNormalizer(lowercase=False, strip_accents=None, clean_text=False, handle_chinese_chars=False),
        pre=pre_tokenizers.BertPreTokenizer(),
        decoder=decoders.WordPiece(cleanup=False),
        post=processors.BertProcessing(("</s>", 2), ("<s>", 1)),
    )
    yield "word-level", trained(
        models.WordLevel(unk_token="<unk>"),
        trainers.WordLevelTrainer,
        normalizer=normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Strip()]),
        pre=pre_tokenizers.Sequence([pre_tokenizers.CharDelimiterSplit("-"), pre_tokenizers.Whitespace()]),
        post=processors.RobertaProcessing(("</s>", 2), ("<s>", 1)),
    )
    for name, normalizer in (("nfkc", normalizers.NFKC()), ("nfkd-nmt", normalizers.Sequence([normalizers.Nmt(), normalizers.NFKD()]))):
        yield f"unigram-{name}", trained(
            models.Unigram(),
            trainers.UnigramTrainer,
            normalizer=normalizer,
            pre=pre_tokenizers.Metaspace(),
            decoder=decoders.Metaspace(),
            post=BOTH,
            unk_token="<unk>",
            size=500,
        )
    yield "unigram-t5", trained(
        models.Unigram(),
        trainers.UnigramTrainer,
        normalizer=normalizers.Sequence([normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip(left=False)]),
        pre=pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]),
        decoder=decoders.Metaspace(),
        unk_token="<unk>",
        size=500,
    )
    yield "unigram-precompiled", trained(
        models.Unigram(),
        trainers.UnigramTrainer,
        normalizer=normalizers.Sequence([normalizers.Precompiled(character_map(CHARACTER_RULES)), normalizers.Replace(Regex(" {2,}"), " ")]),
        pre=pre_tokenizers.Metaspace(),
        decoder=decoders.Metaspace(),
        unk_token="<unk>",
        size=500,
    )
    yield "added-tokens", trained(
        models.BPE(),
        normalizer=normalizers.Lowercase(),
        pre=pre_tokenizers.ByteLevel(add_prefix_space=False),
        added=[
            AddedToken("<mask>", lstrip=True, rstrip=True, normalized=False),
            AddedToken("token", single_word=True, normalized=False),
            AddedToken("  ", normalized=False),
            AddedToken("[a]", normalized=True),
            AddedToken("counted", normalized=True, lstrip=True),
            AddedToken("tokens", normalized=False),
            AddedToken("the", normalized=True, single_word=True, rstrip=True),
        ],
        **BYTES,
    )
    for behavior in ("removed", "merged_with_previous", "merged_with_next", "contiguous"):
        yield f"split-{behavior}", trained(
            models.BPE(),
            pre=pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Split(Regex("[aeiou]"), behavior),
                    pre_tokenizers.Punctuation("merged_with_next" if behavior == "removed" else "isolated"),
                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
                ]
            ),
            **BYTES,
        )


def record(source):
    tokenizer = source if isinstance(source, Tokenizer) else Tokenizer.from_str(json.dumps(source))
    encodings = []
    for text in TEXTS:
        plain = tokenizer.encode(text, add_special_tokens=False)
        whole = tokenizer.encode(text)
        encodings.append(
            {
                "ids": plain.ids,
                "withSpecialTokens": whole.ids,
                "starts": [start for start, _ in plain.offsets],
                "decoded": tokenizer.decode(whole.ids, skip_special_tokens=False),
                "decodedPlain": tokenizer.decode(whole.ids, skip_special_tokens=True),
            }
        )
    return {"json": json.loads(tokenizer.to_str()), "encodings": encodings}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    result = {"versions": {"tokenizers": tokenizers.__version__}, "texts": TEXTS, "tokenizers": {name: record(source) for name, source in cases()}}
    arguments.output.write_text(json.dumps(result, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
