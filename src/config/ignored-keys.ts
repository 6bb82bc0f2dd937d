/**
 * Keys of LLaMA-Factory and transformers that have no effect here: they choose kernels, devices, processes, caches,
 * trackers' details, or belong to a method that is refused by its own key. They are accepted, with one notice for all.
 */

const words = (list: string): readonly string[] => list.trim().split(/\s+/);

/** Why a group of keys has no effect, and the keys. */
export const ignoredKeyGroups: readonly { readonly reason: string; readonly keys: readonly string[] }[] = [
  {
    reason: 'kernels and number formats of PyTorch',
    keys: words(`
      flash_attn use_unsloth use_unsloth_gc enable_liger_kernel use_liger_kernel liger_kernel_config use_v1_kernels
      use_reentrant_gc gradient_checkpointing_kwargs activation_checkpointing_kwargs upcast_layernorm
      upcast_lmhead_output low_cpu_mem_usage tf32 fp8_backend
      fp8_enable_fsdp_float8_all_gather half_precision_backend fp16_opt_level fp16_backend torch_compile
      torch_compile_backend torch_compile_mode torchdynamo torch_empty_cache_steps jit_mode_eval use_ipex use_cache
      optim_target_modules compute_dtype device_map offload_folder lora_bf16_mode recompute_granularity
      recompute_method recompute_num_layers use_kv_cache use_fast_tokenizer ignore_pad_token_for_loss padding_side
    `),
  },
  {
    reason: 'several devices and processes',
    keys: words(`
      average_tokens_across_devices ddp_find_unused_parameters ddp_bucket_cap_mb ddp_broadcast_buffers
      ddp_static_graph ddp_backend ddp_timeout fsdp fsdp_config fsdp_min_num_params
      fsdp_transformer_layer_cls_to_wrap deepspeed accelerator_config parallelism_config local_rank mp_parameters
      sharded_ddp ray_scope xpu_backend tpu_num_cores tpu_metrics_debug use_mps_device split_batches dispatch_batches
      log_on_each_node save_on_each_node log_level_replica past_index eval_use_gather_object
      ray_num_workers ray_init_kwargs ray_run_name ray_storage_path ray_storage_filesystem resources_per_worker
      placement_strategy master_addr master_port use_mca use_megatron_bridge megatron_bridge_args use_hyper_parallel
      hyper_parallel_args hyper_parallel_cp_size tensor_model_parallel_size pipeline_model_parallel_size
      expert_model_parallel_size context_parallel_size virtual_pipeline_model_parallel_size sequence_parallel
      account_for_embedding_in_pipeline_split account_for_loss_in_pipeline_split bias_activation_fusion
      apply_rope_fusion masked_softmax_fusion cross_entropy_loss_fusion moe_grouped_gemm moe_token_dispatcher_type
      calculate_per_token_loss use_distributed_optimizer overlap_param_gather overlap_grad_reduce use_packed_sequences
      mixed_precision export_hf_on_finish extra_config use_kt kt_config kt_cpu_activation
      kt_weight_path kt_non_expert_weight_path kt_expert_checkpoint_path kt_use_lora_experts kt_lora_expert_num
      kt_lora_expert_intermediate_size kt_maxlen kt_mode kt_optimize_rule kt_use_cuda_graph kt_force_think cpu_infer
      chunk_size mode block_diag_attn data_shared_file_system
    `),
  },
  {
    reason: 'loading and caching of data',
    keys: words(`
      streaming buffer_size overwrite_cache preprocessing_batch_size cache_path
      dataloader_num_workers dataloader_pin_memory dataloader_persistent_workers dataloader_prefetch_factor
      dataloader_multiprocessing_context dataloader_in_order remove_unused_columns label_names length_column_name
      auto_find_batch_size eval_accumulation_steps eval_do_concat_batches prediction_loss_only batch_eval_metrics
      include_for_metrics include_inputs_for_metrics sortish_sampler reserved_label_len
      media_dir image_dir train_mm_proj_only
    `),
  },
  {
    reason: 'logging, trackers and hubs',
    keys: words(`
      log_level disable_tqdm logging_dir logging_nan_inf_filter project trackio_space_id trackio_bucket_id
      trackio_static_space_id include_num_input_tokens_seen include_tokens_per_second
      include_effective_tokens_per_second skip_memory_metrics debug print_param_status restore_callback_states_from_checkpoint
      enable_jit_checkpoint save_only_model save_safetensors full_determinism hub_token hub_private_repo hub_model_id
      hub_strategy hub_always_push hub_revision push_to_hub_model_id push_to_hub_organization push_to_hub_token
      hf_hub_token hf_auth_token ms_hub_token om_hub_token use_auth_token trust_remote_code
      disable_version_checking enable_torch_profiler profiler_output_dir profiler_wait_steps profiler_warmup_steps
      profiler_active_steps profiler_repeat profiler_record_shapes profiler_profile_memory profiler_with_stack
      profile_modules use_swanlab swanlab_project swanlab_workspace swanlab_run_name swanlab_mode swanlab_api_key
      swanlab_logdir swanlab_lark_webhook_url swanlab_lark_secret ppo_logger
    `),
  },
  {
    reason: 'other inference engines and export devices',
    keys: words(`
      infer_backend vllm_maxlen vllm_gpu_util vllm_enforce_eager vllm_max_lora_rank vllm_config vllm_dtype
      sglang_maxlen sglang_mem_fraction sglang_tp_size sglang_config sglang_lora_backend export_device
      export_quantization_dataset export_quantization_nsamples export_quantization_maxlen max_length
      eval_num_beams generation_max_length generation_num_beams generation_config
    `),
  },
  {
    reason: 'details of methods that are chosen by another key',
    keys: words(`
      quantization_device_map freeze_trainable_layers
      freeze_trainable_modules freeze_extra_modules num_layer_trainable name_module_trainable num_hidden_layers
      module_dropout oft_rank oft_block_size oft_target loraplus_lr_embedding pissa_iter pissa_convert pref_beta
      pref_ftx pref_bco_weight pref_loss dpo_beta dpo_ftx dpo_loss orpo_beta dpo_label_smoothing kto_chosen_weight
      kto_rejected_weight simpo_gamma ld_alpha ppo_buffer_size ppo_epochs ppo_score_norm ppo_target ppo_whiten_rewards
      ref_model ref_model_adapters ref_model_quantization_bit ref_model_checkpoint dpo_ref_model
      dpo_ref_model_checkpoint reward_model reward_model_adapters reward_model_quantization_bit reward_model_type
      reward_model_checkpoint galore_target galore_rank galore_update_interval galore_scale galore_proj_type
      galore_layerwise apollo_target apollo_rank apollo_update_interval apollo_scale apollo_proj apollo_proj_type
      apollo_scale_type apollo_layerwise apollo_scale_front badam_mode badam_start_block badam_switch_mode
      badam_switch_interval badam_switch_block_every badam_update_ratio badam_mask_mode badam_verbose asft_alpha
      eaft_alpha init_special_tokens megatron_pretrained_checkpoint image_max_pixels image_min_pixels
      image_do_pan_and_scan image_resolution crop_to_patches video_max_pixels video_min_pixels video_resolution
      video_fps video_maxlen use_audio_in_video audio_sampling_rate freeze_vision_tower freeze_multi_modal_projector
      freeze_language_model download_mode
    `),
  },
];

/** Every ignored key -> why it has no effect. */
export const ignoredKeys: ReadonlyMap<string, string> = new Map(
  ignoredKeyGroups.flatMap(({ reason, keys }) => keys.map((key): [string, string] => [key, reason])),
);
