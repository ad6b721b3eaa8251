"""Operators of PyTorch whose work is negligible by nature: a few operations for each number.

They move, make, look up, compare, sum or map numbers one by one, so that their time is that of
memory traffic. What multiplies matrices, transforms, solves, or comes from another library is not
among them.
"""

from __future__ import annotations

from typing import Any

import torch

_TAGS = tuple(
    getattr(torch.Tag, name)
    for name in ("pointwise", "reduction", "view_copy")
    if hasattr(torch.Tag, name)
)

_MAKING = """
    arange bernoulli bernoulli_ binomial blackman_window bartlett_window cauchy cauchy_ clone empty
    empty_like empty_permuted empty_strided exponential exponential_ eye fft_fftfreq fft_rfftfreq
    fill fill_ full full_like geometric geometric_ hamming_window hann_window kaiser_window
    lift lift_fresh lift_fresh_copy linspace log_normal log_normal_ logspace multinomial new_empty
    new_empty_strided new_full new_ones new_zeros normal normal_ normal_functional ones ones_like
    poisson rand rand_like randint randint_like randn randn_like random random_ randperm range
    scalar_tensor tril_indices triu_indices uniform uniform_ zero zero_ zeros zeros_like
    _efficientzerotensor _sample_dirichlet _standard_gamma _dirichlet_grad _standard_gamma_grad
"""
_MOVING = """
    _copy_from _lazy_clone _local_scalar_dense _make_dep_token _pin_memory _reshape_copy
    _resize_output _resize_output_ _to_copy _to_dense _unsafe_view _shape_as_tensor _stack
    _chunk_cat _pack_padded_sequence _pack_padded_sequence_backward _pad_packed_sequence
    _jagged_to_padded_dense_forward _padded_dense_to_jagged_forward as_strided_
    as_strided_scatter block_diag cat channel_shuffle col2im complex constant_pad_nd copy copy_
    contiguous dequantize detach_ diag_embed diagonal_backward diagonal_scatter flip im2col
    int_repr pixel_shuffle pixel_unshuffle reflection_pad1d reflection_pad1d_backward
    reflection_pad2d reflection_pad2d_backward reflection_pad3d reflection_pad3d_backward repeat
    replication_pad1d replication_pad1d_backward replication_pad2d replication_pad2d_backward
    replication_pad3d replication_pad3d_backward resize resize_ resize_as resize_as_ roll rot90
    select_backward select_scatter set_ slice_backward slice_scatter split_with_sizes_copy
    squeeze_ stack t_ to_padded_tensor transpose_ tril tril_ triu triu_ unfold_backward unfold_copy
    unsafe_chunk unsafe_split unsafe_split_with_sizes unsqueeze_ record_stream
    view_as_complex_copy view_as_real_copy
    _cudnn_rnn_flatten_weight _cudnn_init_dropout_state lu_unpack nested_to_padded_tensor
    repeat_interleave set
"""
_LOOKING_UP = """
    _embedding_bag _embedding_bag_backward _embedding_bag_dense_backward
    _embedding_bag_forward_only _embedding_bag_per_sample_weights_backward
    _embedding_bag_sparse_backward _index_put_impl _index_put_impl_ _unique _unique2 _unsafe_index
    _unsafe_index_put _unsafe_masked_index _unsafe_masked_index_put_accumulate bincount bucketize
    embedding embedding_backward embedding_dense_backward embedding_renorm embedding_renorm_
    embedding_sparse_backward gather index index_add index_add_ index_copy index_copy_ index_fill
    index_fill_ index_put index_put_ index_reduce index_reduce_ index_select isin kthvalue
    masked_fill masked_fill_ masked_scatter masked_scatter_ masked_scatter_backward masked_select
    nonzero nonzero_static put put_ scatter scatter_ scatter_add scatter_add_ scatter_reduce
    scatter_reduce_ searchsorted segment_reduce _segment_reduce_backward sort take topk
    unique_consecutive unique_dim unique_dim_consecutive value_selecting_reduction_backward
    argsort histc median mode nanmedian
"""
_SUMMING = """
    _is_all_true _is_any_true _aminmax _cummax_helper _cummin_helper _logcumsumexp cummax cummin
    cumprod cumprod_ cumsum cumsum_ dist logcumsumexp norm renorm renorm_ trace all any amax amin
    aminmax argmax argmin count_nonzero linalg_vector_norm linalg__powsum logsumexp max mean min
    nansum prod std std_mean sum var var_mean equal allclose is_same_size
"""
_MAPPING = """
    __and__ __irshift__ __or__ _add_relu _add_relu_ _fill_mem_eff_dropout_mask_ _log_softmax
    _log_softmax_backward_data _masked_scale _masked_softmax _masked_softmax_backward
    _prelu_kernel _prelu_kernel_backward _safe_softmax _softmax _softmax_backward_data
    _thnn_fused_gru_cell _thnn_fused_gru_cell_backward _thnn_fused_lstm_cell
    _thnn_fused_lstm_cell_backward_impl _transform_bias_rescale_qkv _weight_norm_interface
    _weight_norm_interface_backward binary_cross_entropy binary_cross_entropy_backward
    binary_cross_entropy_with_logits copysign_ elu_backward eq_ floor_divide floor_divide_ gcd_ ge_
    gelu_ glu glu_backward glu_backward_jvp glu_jvp gt_ hardshrink_backward hardsigmoid_backward
    hardswish hardswish_ hardswish_backward hardtanh_backward heaviside_ huber_loss
    huber_loss_backward lcm_ le_ leaky_relu_backward log_sigmoid_backward log_sigmoid_forward lt_
    mish_ mse_loss mse_loss_backward multi_margin_loss multi_margin_loss_backward
    multilabel_margin_loss_backward multilabel_margin_loss_forward native_dropout
    native_dropout_backward ne_ nll_loss2d_backward nll_loss2d_forward nll_loss_backward
    nll_loss_forward polar abs_ rrelu_with_noise rrelu_with_noise_ rrelu_with_noise_backward
    rrelu_with_noise_functional smooth_l1_loss smooth_l1_loss_backward soft_margin_loss
    soft_margin_loss_backward softplus_backward softshrink_backward threshold_ rsub xlogy_
    linalg_cross _fused_dropout _fused_sdp_choice _fake_quantize_learnable_per_channel_affine
    _fake_quantize_learnable_per_channel_affine_backward
    _fake_quantize_learnable_per_tensor_affine
    _fake_quantize_learnable_per_tensor_affine_backward
    _fake_quantize_per_tensor_affine_cachemask_tensor_qparams
    _fused_moving_avg_obs_fq_helper _fused_moving_avg_obs_fq_helper_functional
    fake_quantize_per_channel_affine_cachemask fake_quantize_per_tensor_affine_cachemask
"""
_NORMALISING = """
    _batch_norm_no_update _batch_norm_with_update _batch_norm_with_update_functional
    _fused_rms_norm _fused_rms_norm_backward _native_batch_norm_legit
    _native_batch_norm_legit_functional _native_batch_norm_legit_no_training batch_norm_backward
    batch_norm_backward_elemt batch_norm_backward_reduce batch_norm_elemt batch_norm_gather_stats
    batch_norm_gather_stats_with_counts batch_norm_stats batch_norm_update_stats
    cudnn_batch_norm cudnn_batch_norm_backward miopen_batch_norm miopen_batch_norm_backward
    native_batch_norm native_batch_norm_backward native_group_norm native_group_norm_backward
    native_layer_norm native_layer_norm_backward native_norm
"""
_RESAMPLING = """
    _adaptive_avg_pool2d _adaptive_avg_pool2d_backward _adaptive_avg_pool3d
    _adaptive_avg_pool3d_backward _grid_sampler_2d_cpu_fallback
    _grid_sampler_2d_cpu_fallback_backward _upsample_bicubic2d_aa _upsample_bicubic2d_aa_backward
    _upsample_bilinear2d_aa _upsample_bilinear2d_aa_backward _upsample_nearest_exact1d
    _upsample_nearest_exact1d_backward _upsample_nearest_exact2d
    _upsample_nearest_exact2d_backward _upsample_nearest_exact3d
    _upsample_nearest_exact3d_backward adaptive_max_pool2d
    adaptive_max_pool2d_backward adaptive_max_pool3d adaptive_max_pool3d_backward
    affine_grid_generator avg_pool2d avg_pool2d_backward avg_pool3d avg_pool3d_backward
    cudnn_affine_grid_generator cudnn_affine_grid_generator_backward cudnn_grid_sampler
    cudnn_grid_sampler_backward fractional_max_pool2d fractional_max_pool2d_backward
    fractional_max_pool3d fractional_max_pool3d_backward grid_sampler_2d grid_sampler_2d_backward
    grid_sampler_3d grid_sampler_3d_backward max_pool2d_with_indices
    max_pool2d_with_indices_backward max_pool3d_with_indices max_pool3d_with_indices_backward
    max_pool2d_backward max_unpool2d max_unpool3d mkldnn_max_pool2d mkldnn_max_pool2d_backward
    mkldnn_max_pool3d
    mkldnn_max_pool3d_backward mkldnn_adaptive_avg_pool2d mkldnn_adaptive_avg_pool2d_backward
    upsample_bicubic2d upsample_bicubic2d_backward upsample_bilinear2d
    upsample_bilinear2d_backward upsample_linear1d upsample_linear1d_backward upsample_nearest1d
    upsample_nearest1d_backward upsample_nearest2d upsample_nearest2d_backward upsample_nearest3d
    upsample_nearest3d_backward upsample_trilinear3d upsample_trilinear3d_backward
"""
_ASKING = """
    _assert_async _assert_scalar _assert_tensor_metadata _functional_assert_async
    _functional_assert_scalar _functional_sym_constrain_range
    _functional_sym_constrain_range_for_size _has_same_storage_numel _linalg_check_errors _print
    dense_dim dim is_coalesced is_contiguous is_pinned is_set_to
    numel size sparse_dim storage_offset stride sym_constrain_range
    sym_constrain_range_for_size sym_is_contiguous sym_numel sym_size sym_storage_offset sym_stride
"""
_NAMES = frozenset(
    name
    for names in (
        _MAKING,
        _MOVING,
        _LOOKING_UP,
        _SUMMING,
        _MAPPING,
        _NORMALISING,
        _RESAMPLING,
        _ASKING,
    )
    for name in names.split()
)


def is_negligible(operator: Any) -> bool:
    """Return whether an overload of PyTorch's own does a few operations for each number at most.

    Operators of other libraries never are, whatever they are tagged as.
    """
    if operator.namespace == "prim":
        return True
    if operator.namespace != "aten":
        return False
    name = str(operator._schema.name).partition("::")[2]
    if name.startswith(("_nested_", "_foreach_")):
        return name != "_foreach_mm"
    return name in _NAMES or bool(operator.is_view) or any(tag in operator.tags for tag in _TAGS)
