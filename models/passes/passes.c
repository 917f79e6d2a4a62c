/* SPDX-License-Identifier: Apache-2.0
 * The order of the passes. What is of 16 bits is widened first, for the others know float32 alone. BatchNormalization goes
 * into the convolution before a residual and an activation can follow it there; the residual comes before the activation
 * because that is the order in which a convolution applies them. What ONNX had to write as several operators is put
 * together before their parts can go elsewhere. */
#include "passes/passes.h"

const struct graph_pass graph_passes[] = {
    {0, pass_widen_half},
    {0, pass_drop_identities},
    {BRAID_PASS_NARROW_BF16, pass_narrow_bf16},
    {BRAID_PASS_FUSE_NORMALIZE, pass_fuse_normalize},
    {BRAID_PASS_FUSE_REQUANTISE, pass_fuse_requantise},
    {BRAID_PASS_FUSE_PAD, pass_fuse_pad},
    {BRAID_PASS_FOLD_BATCHNORM, pass_fold_batchnorm},
    {BRAID_PASS_FUSE_RESIDUAL, pass_fuse_residual},
    {BRAID_PASS_FUSE_ACTIVATION, pass_fuse_activation},
    {BRAID_PASS_CHAIN_CONCAT, pass_chain_concat},
};
const int n_graph_passes = sizeof graph_passes / sizeof *graph_passes;
