"""The tiny models of the parity check: one config.json a case, as Hugging Face wrote it before transformers 5."""

BASE = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "use_cache": True,
}


def llama(**changes):
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **BASE, **changes}


def mistral(**changes):
    return {"architectures": ["MistralForCausalLM"], "model_type": "mistral", **BASE, **changes}


def qwen2(**changes):
    return {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", **BASE, "rms_norm_eps": 1e-6, **changes}


def qwen3(**changes):
    return {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", **BASE, "rms_norm_eps": 1e-6, **changes}


LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}

# What follows is kept small: logits and gradients only, since the optimiser steps are the same for all families.
# torch gives the embedding of a padding token no gradient: none is named.
SMALL = {
    "vocab_size": 64,
    "torch_dtype": "float32",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "use_cache": True,
}
BRIEF = {"training": False, "lora": {"r": 2, "lora_alpha": 4}}


def gpt_neox(**changes):
    return {
        "architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", **SMALL, "hidden_size": 32,
        "intermediate_size": 56, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64,
        "layer_norm_eps": 1e-5, "rotary_pct": 0.25, "rotary_emb_base": 10000, "hidden_act": "gelu",
        "use_parallel_residual": True, "tie_word_embeddings": False, **changes,
    }


def gpt2(**changes):
    return {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", **SMALL, "n_embd": 32, "n_layer": 2, "n_head": 4,
        "n_inner": 56, "n_positions": 40, "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new", **changes,
    }


def phi3(**changes):
    return {
        "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", **BASE, **SMALL, "original_max_position_embeddings": 64,
        "sliding_window": None, "pad_token_id": None, **changes,
    }


def gemma(**changes):
    return {
        "architectures": ["GemmaForCausalLM"], "model_type": "gemma", **BASE, **SMALL, "hidden_act": "gelu",
        "hidden_activation": None, "head_dim": 12, "tie_word_embeddings": True, "rms_norm_eps": 1e-6, "pad_token_id": None,
        **changes,
    }


def gemma2(**changes):
    return {
        **gemma(), "architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", "hidden_activation": "gelu_pytorch_tanh",
        "num_key_value_heads": 2, "query_pre_attn_scalar": 20, "sliding_window": 6, "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 3.0, **changes,
    }


def gemma3_text(**changes):
    return {
        **gemma(), "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text",
        "hidden_activation": "gelu_pytorch_tanh", "num_key_value_heads": 2, "query_pre_attn_scalar": 20, "sliding_window": 6,
        "sliding_window_pattern": 3, "num_hidden_layers": 3, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0}, **changes,
    }


def phi(**changes):
    return {
        "architectures": ["PhiForCausalLM"], "model_type": "phi", **BASE, **SMALL, "hidden_act": "gelu_new",
        "layer_norm_eps": 1e-5, "partial_rotary_factor": 0.5, "pad_token_id": None, **changes,
    }


def stablelm(**changes):
    return {
        "architectures": ["StableLmForCausalLM"], "model_type": "stablelm", **BASE, **SMALL, "layer_norm_eps": 1e-5,
        "partial_rotary_factor": 0.25, "pad_token_id": None, **changes,
    }


def olmo2(**changes):
    return {
        "architectures": ["Olmo2ForCausalLM"], "model_type": "olmo2", **BASE, **SMALL, "rope_theta": 500000.0,
        "pad_token_id": None, **changes,
    }


def falcon(**changes):
    return {
        "architectures": ["FalconForCausalLM"], "model_type": "falcon", **SMALL, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 4, "ffn_hidden_size": 56, "max_position_embeddings": 64, "layer_norm_epsilon": 1e-5,
        "alibi": False, "bias": False, "multi_query": True, "parallel_attn": True, "new_decoder_architecture": False,
        "rope_theta": 10000.0, **changes,
    }


def internlm2(**changes):
    return {
        "architectures": ["InternLM2ForCausalLM"], "model_type": "internlm2", **BASE, **SMALL, "bias": False,
        "rope_theta": 1000000.0, "rope_scaling": {"type": "dynamic", "factor": 2.0}, **changes,
    }


def baichuan(**changes):
    """The 7B models' form; the 13B models have no max_position_embeddings, Baichuan 2 has z_loss_weight."""
    config = {
        "architectures": ["BaichuanForCausalLM"], "model_type": "baichuan", **BASE, **SMALL, "model_max_length": 64, **changes,
    }
    return {k: v for k, v in config.items() if k not in ("num_key_value_heads", "rope_theta") and v is not None}


def chatglm(**changes):
    return {
        "architectures": ["ChatGLMForConditionalGeneration"], "model_type": "chatglm", "padded_vocab_size": 64, "num_layers": 2,
        "hidden_size": 32, "ffn_hidden_size": 48, "kv_channels": 8, "num_attention_heads": 4, "multi_query_group_num": 2,
        "seq_length": 64, "layernorm_epsilon": 1e-5, "rmsnorm": True, "post_layer_norm": True, "original_rope": True,
        "apply_residual_connection_post_layernorm": False, "multi_query_attention": True, "add_bias_linear": False,
        "add_qkv_bias": True, "tie_word_embeddings": False, "torch_dtype": "float32", **changes,
    }


def mixtral(**changes):
    return {
        **mistral(), **SMALL, "architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "num_key_value_heads": 2,
        "num_local_experts": 4, "num_experts_per_tok": 2, "intermediate_size": 24, "sliding_window": None,
        "output_router_logits": False, "router_aux_loss_coef": 0.02, **changes,
    }


def qwen2_moe(**changes):
    return {
        **qwen2(), **SMALL, "architectures": ["Qwen2MoeForCausalLM"], "model_type": "qwen2_moe", "num_key_value_heads": 2,
        "num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 20, "shared_expert_intermediate_size": 28,
        "norm_topk_prob": False, "decoder_sparse_step": 1, "mlp_only_layers": [], "output_router_logits": False,
        "router_aux_loss_coef": 0.001, "use_sliding_window": False, "sliding_window": 4, "max_window_layers": 2, **changes,
    }


def qwen3_moe(**changes):
    return {
        **qwen3(), **SMALL, "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "num_key_value_heads": 2,
        "head_dim": 12, "num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 16, "norm_topk_prob": True,
        "decoder_sparse_step": 1, "mlp_only_layers": [], "output_router_logits": False, "router_aux_loss_coef": 0.001,
        "attention_bias": False, **changes,
    }


# model_type -> (pattern, replacement) from transformers' names to those of published files and adapters
PUBLISHED = {
    "gpt_neox": [(r"^lm_head\.", "embed_out.")],
}

# name -> (config, lengths of the rows, further keys of the case)
CASES = {
    "llama": {"config": llama()},
    "llama-grouped-tied": {
        "config": llama(num_key_value_heads=2, tie_word_embeddings=True, num_hidden_layers=3),
        "also": ["full-training", "trainable-tokens"],
    },
    "llama-rope-llama3": {
        "config": llama(num_key_value_heads=1, rope_theta=500.0, rope_scaling=LLAMA3_SCALING, max_position_embeddings=256),
    },
    "llama-rope-linear": {"config": llama(rope_scaling={"type": "linear", "factor": 4.0})},
    # The second row is longer than max_position_embeddings: only there do the frequencies change.
    "llama-rope-dynamic": {
        "config": llama(rope_scaling={"type": "dynamic", "factor": 3.0}, max_position_embeddings=32),
        "lengths": [5, 41, 12],
    },
    "llama-rope-yarn": {
        "config": llama(
            num_key_value_heads=2, head_dim=16, rope_scaling={"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
            max_position_embeddings=128,
        ),
        "lengths": [5, 41, 12],
        **BRIEF,
    },
    "qwen3-rope-yarn-mscale": {
        "config": qwen3(
            num_key_value_heads=2, head_dim=16, max_position_embeddings=128,
            rope_scaling={
                "rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 16, "beta_fast": 4, "beta_slow": 0.5,
                "mscale": 1.0, "mscale_all_dim": 0.5, "truncate": False,
            },
        ),
        "lengths": [5, 41, 12],
        **BRIEF,
    },
    "llama-rope-longrope": {
        "config": llama(
            head_dim=12, max_position_embeddings=128,
            rope_scaling={
                "rope_type": "longrope", "factor": 2.0, "attention_factor": 1.25, "original_max_position_embeddings": 26,
                "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5], "long_factor": [1.0, 2.0, 3.5, 5.0, 8.0, 13.0],
            },
        ),
        "lengths": [5, 41, 12],
        **BRIEF,
    },
    "llama-biases": {
        "config": llama(
            attention_bias=True, mlp_bias=True, head_dim=12, num_attention_heads=4, num_key_value_heads=2, hidden_size=40
        ),
        "lora": {"use_rslora": True},
    },
    "llama-modules-to-save": {"config": llama(), "also": ["modules-to-save", "trainable-tokens"]},
    # The window is shorter than the rows.
    "mistral": {"config": mistral(num_key_value_heads=2, sliding_window=6, rope_theta=1000000.0)},
    "mistral-head-dim-f16": {
        "config": mistral(num_key_value_heads=1, head_dim=16, sliding_window=None, torch_dtype="float16"),
        "shards": 3,
    },
    "qwen2": {"config": qwen2(num_key_value_heads=2, use_sliding_window=False, sliding_window=4, max_window_layers=1)},
    "qwen2-tied-bf16": {
        "config": qwen2(
            num_key_value_heads=2,
            tie_word_embeddings=True,
            torch_dtype="bfloat16",
            num_hidden_layers=3,
            # The last two layers look back six positions only.
            use_sliding_window=True,
            sliding_window=6,
            max_window_layers=1,
        ),
        "shards": 2,
        "lora": {"target_modules": ["q_proj", "v_proj", "down_proj"]},
    },
    "qwen3": {"config": qwen3(num_key_value_heads=2, head_dim=16, tie_word_embeddings=True, attention_bias=False)},
    "gpt-neox": {"config": gpt_neox(), **BRIEF},
    "gpt-neox-serial": {
        "config": gpt_neox(
            use_parallel_residual=False, rotary_pct=1.0, rotary_emb_base=500, hidden_act="gelu_new", tie_word_embeddings=True,
            num_attention_heads=2,
        ),
        **BRIEF,
    },
    "gpt2": {"config": gpt2(), "training": False, "lora": {"r": 2, "lora_alpha": 4, "fan_in_fan_out": True}},
    "gpt2-scaled": {
        "config": gpt2(n_layer=3, n_inner=None, n_embd=24, scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False),
        "training": False,
        "lora": {"r": 2, "lora_alpha": 4, "fan_in_fan_out": True, "target_modules": ["c_attn", "c_fc"]},
    },
    "phi3": {"config": phi3(num_key_value_heads=2), **BRIEF},
    "phi3-window-partial": {"config": phi3(sliding_window=6, partial_rotary_factor=0.5), **BRIEF},
    # only the second row, and the end of the continuation, are longer than the original length
    "phi3-longrope": {
        "config": phi3(
            original_max_position_embeddings=16, max_position_embeddings=64, num_key_value_heads=2,
            rope_scaling={"type": "longrope", "short_factor": [1.0, 1.1, 1.3, 1.5], "long_factor": [1.0, 2.5, 4.0, 9.0]},
        ),
        "lengths": [5, 41, 12],
        **BRIEF,
    },
    "gemma": {"config": gemma(num_key_value_heads=1), **BRIEF},
    # sdpa of transformers leaves the cap of the scores out
    "gemma2": {"config": gemma2(), "attention": "eager", **BRIEF},
    "gemma3-text": {"config": gemma3_text(), **BRIEF},
    "phi": {"config": phi(), **BRIEF},
    "phi-head-norm": {"config": phi(qk_layernorm=True, num_key_value_heads=2), **BRIEF},
    "stablelm": {"config": stablelm(use_qkv_bias=True, num_key_value_heads=2), **BRIEF},
    "stablelm-parallel-head-norm": {
        "config": stablelm(use_parallel_residual=True, qk_layernorm=True, partial_rotary_factor=0.5, num_key_value_heads=2),
        **BRIEF,
    },
    "olmo2": {"config": olmo2(num_key_value_heads=2), **BRIEF},
    "falcon": {"config": falcon(), **BRIEF},
    "falcon-new-decoder": {"config": falcon(new_decoder_architecture=True, num_kv_heads=2, bias=True), **BRIEF},
    # six heads: slopes that are no powers of two and that bfloat16 rounds
    "falcon-alibi": {
        "config": falcon(
            alibi=True, multi_query=False, parallel_attn=False, bias=True, hidden_size=24, num_attention_heads=6, ffn_hidden_size=40
        ),
        **BRIEF,
    },
    # The second row is longer than max_position_embeddings.
    "internlm2": {"config": internlm2(num_key_value_heads=2, max_position_embeddings=32), "lengths": [5, 41, 12], **BRIEF},
    "baichuan": {"config": baichuan(), **BRIEF},
    "baichuan-alibi": {"config": baichuan(max_position_embeddings=None, hidden_size=36, num_attention_heads=6), **BRIEF},
    "baichuan2": {"config": baichuan(z_loss_weight=0), **BRIEF},
    "baichuan2-alibi": {
        "config": baichuan(max_position_embeddings=None, z_loss_weight=0, hidden_size=40, num_attention_heads=5), **BRIEF,
    },
    "chatglm": {"config": chatglm(), **BRIEF},
    "chatglm-ratio": {"config": chatglm(rope_ratio=500, kv_channels=12, multi_query_group_num=1), **BRIEF},
    "mixtral": {"config": mixtral(), **BRIEF},
    # PEFT 0.21 knows the new names of Mixtral's and Qwen 3's experts, not of Qwen 2's: they are given here
    "qwen2-moe": {
        "config": qwen2_moe(num_hidden_layers=3, mlp_only_layers=[1]),
        "training": False,
        "lora": {
            "r": 2, "lora_alpha": 4,
            "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "shared_expert_gate"],
            "target_parameters": ["mlp.gate.weight", "experts.gate_up_proj", "experts.down_proj"],
            "rank_pattern": {r".*\.gate_up_proj": 4}, "alpha_pattern": {r".*\.gate_up_proj": 8},
        },
        "targets": "all-linear",
    },
    "qwen3-moe": {"config": qwen3_moe(), **BRIEF},
    # the second layer has experts, the first has none; the adapter sits on the experts alone
    "qwen3-moe-sparse": {
        "config": qwen3_moe(decoder_sparse_step=2, norm_topk_prob=False, tie_word_embeddings=True, torch_dtype="bfloat16"),
        "training": False,
        "lora": {
            "r": 2, "lora_alpha": 4, "target_modules": ["gate_proj", "up_proj", "down_proj"],
            "target_parameters": [f"mlp.{part}.weight" for part in ("gate_proj", "up_proj", "down_proj")],
        },
    },
    "qwen3-untied": {"config": qwen3(num_key_value_heads=4, head_dim=6, rope_theta=1000000.0)},
}
