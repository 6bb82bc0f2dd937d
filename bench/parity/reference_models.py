"""Families that transformers has no class for without remote code, written out from the modelling code that their publishers
put beside the weights. Parameter names are those of the published files. Only what the parity check needs: one row, no cache.
"""
import math
import types

import torch
import torch.nn.functional as F
from torch import nn


class Config:
    """config.json as attributes; absent keys are None."""

    def __init__(self, values):
        self.__dict__.update(values)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return None

    def to_dict(self):
        return dict(self.__dict__)


class RMSNorm(nn.Module):
    def __init__(self, size, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.variance_epsilon = epsilon

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


def frequencies(size, base, dtype):
    """float32 as the publishers' code has them, whatever the model's dtype is."""
    return (1.0 / (base ** (torch.arange(0, size, 2).float() / size))).to(dtype)


def rotate_halves(x, base):
    """x [H, T, E]: element i turns with element i + E/2."""
    angle = torch.arange(x.shape[1]).to(x.dtype)[:, None] * frequencies(x.shape[2], base, x.dtype)
    cos, sin = torch.cat((angle, angle), -1).cos(), torch.cat((angle, angle), -1).sin()
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), -1) * sin


def rotate_neighbours(x, size, base):
    """x [H, T, E]: of the first `size` elements, 2 i turns with 2 i + 1."""
    angle = torch.arange(x.shape[1]).to(x.dtype)[:, None] * frequencies(size, base, x.dtype)
    front = x[..., :size].reshape(*x.shape[:-1], size // 2, 2)
    turned = torch.stack((
        front[..., 0] * angle.cos() - front[..., 1] * angle.sin(),
        front[..., 1] * angle.cos() + front[..., 0] * angle.sin(),
    ), -1).flatten(-2)
    return torch.cat((turned, x[..., size:]), -1)


def attend(q, k, v, bias=None):
    """q [H, T, E], k and v [K, T, E]: causal attention, [T, H x E]."""
    k, v = (x.repeat_interleave(q.shape[0] // x.shape[0], 0) for x in (k, v))
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if bias is not None:
        scores = scores + bias
    hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return (scores.masked_fill(hidden, -math.inf).softmax(-1) @ v).transpose(0, 1).flatten(1)


def interleaved_slopes(count):
    """modeling_baichuan.py, _get_interleave."""

    def power_of_two(n):
        start = 2 ** (-(2 ** -(math.log2(n) - 3)))
        return [start * start**i for i in range(n)]

    if math.log2(count).is_integer():
        return power_of_two(count)
    closest = 2 ** math.floor(math.log2(count))
    return power_of_two(closest) + interleaved_slopes(2 * closest)[0::2][: count - closest]


def linear(inputs, outputs, bias=False):
    return nn.Linear(inputs, outputs, bias=bias)


class Baichuan(nn.Module):
    targets = ["W_pack", "o_proj", "gate_proj", "up_proj", "down_proj"]

    class NormHead(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(outputs, inputs))

        def forward(self, x):
            return F.linear(x, F.normalize(self.weight))

    class Attention(nn.Module):
        def __init__(self, config):
            super().__init__()
            size = config.hidden_size
            self.config = config
            self.W_pack = linear(size, 3 * size)
            self.o_proj = linear(size, size)

        def forward(self, x):
            config = self.config
            heads, length = config.num_attention_heads, x.shape[0]
            q, k, v = self.W_pack(x).unflatten(-1, (3, heads, -1)).permute(1, 2, 0, 3)
            bias = None
            if config.max_position_embeddings is not None:
                q, k = rotate_halves(q, 10000.0), rotate_halves(k, 10000.0)
            else:
                slopes = torch.tensor(interleaved_slopes(heads), dtype=x.dtype)
                bias = slopes[:, None, None] * torch.arange(length).to(x.dtype)[None, None, :]
            return self.o_proj(attend(q, k, v, bias))

    class Mlp(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.gate_proj = linear(config.hidden_size, config.intermediate_size)
            self.down_proj = linear(config.intermediate_size, config.hidden_size)
            self.up_proj = linear(config.hidden_size, config.intermediate_size)

        def forward(self, x):
            return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))

    class Layer(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.self_attn = Baichuan.Attention(config)
            self.mlp = Baichuan.Mlp(config)
            self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
            self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

        def forward(self, x):
            x = x + self.self_attn(self.input_layernorm(x))
            return x + self.mlp(self.post_attention_layernorm(x))

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.model.layers = nn.ModuleList(Baichuan.Layer(config) for _ in range(config.num_hidden_layers))
        self.model.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        # Baichuan 2; Baichuan 1 has a plain head
        head = Baichuan.NormHead if config.z_loss_weight is not None else linear
        self.lm_head = head(config.hidden_size, config.vocab_size)

    def logits(self, ids):
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x)
        return self.lm_head(self.model.norm(x))


class ChatGlm(nn.Module):
    targets = ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]

    class Attention(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.config = config
            size = config.num_attention_heads * config.kv_channels
            packed = size + 2 * config.multi_query_group_num * config.kv_channels
            self.query_key_value = linear(config.hidden_size, packed, config.add_bias_linear or config.add_qkv_bias)
            self.dense = linear(size, config.hidden_size, config.add_bias_linear)

        def forward(self, x):
            config = self.config
            counts = [config.num_attention_heads, config.multi_query_group_num, config.multi_query_group_num]
            parts = self.query_key_value(x).split([n * config.kv_channels for n in counts], -1)
            q, k, v = (part.unflatten(-1, (n, -1)).transpose(0, 1) for part, n in zip(parts, counts))
            base = 10000.0 * (config.rope_ratio or 1)
            q, k = (rotate_neighbours(part, config.kv_channels // 2, base) for part in (q, k))
            return self.dense(attend(q, k, v))

    class Mlp(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.dense_h_to_4h = linear(config.hidden_size, 2 * config.ffn_hidden_size, config.add_bias_linear)
            self.dense_4h_to_h = linear(config.ffn_hidden_size, config.hidden_size, config.add_bias_linear)

        def forward(self, x):
            gate, up = self.dense_h_to_4h(x).chunk(2, dim=-1)
            return self.dense_4h_to_h(F.silu(gate) * up)

    class Layer(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.input_layernorm = RMSNorm(config.hidden_size, config.layernorm_epsilon)
            self.self_attention = ChatGlm.Attention(config)
            self.post_attention_layernorm = RMSNorm(config.hidden_size, config.layernorm_epsilon)
            self.mlp = ChatGlm.Mlp(config)

        def forward(self, x):
            x = x + self.self_attention(self.input_layernorm(x))
            return x + self.mlp(self.post_attention_layernorm(x))

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.transformer = nn.Module()
        self.transformer.embedding = nn.Module()
        self.transformer.embedding.word_embeddings = nn.Embedding(config.padded_vocab_size, config.hidden_size)
        self.transformer.encoder = nn.Module()
        self.transformer.encoder.layers = nn.ModuleList(ChatGlm.Layer(config) for _ in range(config.num_layers))
        self.transformer.encoder.final_layernorm = RMSNorm(config.hidden_size, config.layernorm_epsilon)
        self.transformer.output_layer = linear(config.hidden_size, config.padded_vocab_size)

    def logits(self, ids):
        x = self.transformer.embedding.word_embeddings(ids)
        for layer in self.transformer.encoder.layers:
            x = layer(x)
        return self.transformer.output_layer(self.transformer.encoder.final_layernorm(x))


class InternLm2(nn.Module):
    targets = ["wqkv", "wo", "w1", "w2", "w3"]

    class Attention(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.config = config
            size = config.hidden_size // config.num_attention_heads
            packed = (config.num_attention_heads + 2 * config.num_key_value_heads) * size
            self.wqkv = linear(config.hidden_size, packed, config.bias)
            self.wo = linear(config.hidden_size, config.hidden_size, config.bias)

        def forward(self, x):
            config = self.config
            groups = config.num_attention_heads // config.num_key_value_heads
            packed = self.wqkv(x).unflatten(-1, (config.num_key_value_heads, groups + 2, -1))
            q = packed[:, :, :groups].flatten(1, 2).transpose(0, 1)
            k, v = packed[:, :, -2].transpose(0, 1), packed[:, :, -1].transpose(0, 1)
            base, length = config.rope_theta, x.shape[0]
            if config.rope_scaling and length > config.max_position_embeddings:
                # InternLM2DynamicNTKScalingRotaryEmbedding
                factor, size = config.rope_scaling["factor"], q.shape[-1]
                base *= (factor * length / config.max_position_embeddings - (factor - 1)) ** (size / (size - 2))
            return self.wo(attend(rotate_halves(q, base), rotate_halves(k, base), v))

    class Mlp(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.w1 = linear(config.hidden_size, config.intermediate_size)
            self.w3 = linear(config.hidden_size, config.intermediate_size)
            self.w2 = linear(config.intermediate_size, config.hidden_size)

        def forward(self, x):
            return self.w2(F.silu(self.w1(x)) * self.w3(x))

    class Layer(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.attention = InternLm2.Attention(config)
            self.feed_forward = InternLm2.Mlp(config)
            self.attention_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
            self.ffn_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

        def forward(self, x):
            x = x + self.attention(self.attention_norm(x))
            return x + self.feed_forward(self.ffn_norm(x))

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.model = nn.Module()
        self.model.tok_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.model.layers = nn.ModuleList(InternLm2.Layer(config) for _ in range(config.num_hidden_layers))
        self.model.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.output = linear(config.hidden_size, config.vocab_size)

    def logits(self, ids):
        x = self.model.tok_embeddings(ids)
        for layer in self.model.layers:
            x = layer(x)
        return self.output(self.model.norm(x))


REFERENCES = {"baichuan": Baichuan, "chatglm": ChatGlm, "internlm2": InternLm2}


def reference_model(config, tensors=None):
    """The model of a config (a dict), with the given tensors (name to numpy array)."""
    model = REFERENCES[config["model_type"]](Config(config))

    def forward(input_ids, use_cache=False):
        return types.SimpleNamespace(logits=torch.stack([model.logits(row) for row in input_ids]))

    model.forward = forward
    if tensors is not None:
        model.load_state_dict({n: torch.from_numpy(t) for n, t in tensors.items()})
    return model.eval()
