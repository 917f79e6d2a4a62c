/* SPDX-License-Identifier: Apache-2.0
 * The operators we import, one row each: name, opsets, operands, converter. An operator that changed its meaning is
 * told apart inside its converter by node->opset; rows give the outer range only. */
#include "onnx_internal.h"

#include <string.h>

#define ANY INT_MAX
#define OP(name) BRAID_OP_##name

static const struct onnx_op ops[] = {
    {"Abs", 6, 0, 1, 1, OP(ABS), onnx_convert_plain},
    {"Add", 7, 0, 2, 2, OP(ADD), onnx_convert_plain},
    {"ArgMax", 1, 0, 1, 1, OP(ARG_MAX), onnx_convert_arg_max},
    {"AveragePool", 7, 0, 1, 1, OP(AVERAGE_POOL), onnx_convert_pool},
    {"BatchNormalization", 7, 0, 5, 5, OP(BATCH_NORMALIZATION), onnx_convert_batch_normalization},
    {"Cast", 6, 0, 1, 1, OP(CAST), onnx_convert_cast},
    {"Ceil", 6, 0, 1, 1, OP(CEIL), onnx_convert_plain},
    {"Clip", 6, 0, 1, 3, OP(CLIP), onnx_convert_clip},
    {"Concat", 4, 0, 1, ANY, OP(CONCAT), onnx_convert_concat},
    {"Constant", 1, 0, 0, 0, OP(INPUT), onnx_convert_constant},
    {"ConstantOfShape", 9, 0, 1, 1, OP(INPUT), onnx_convert_constant_of_shape},
    {"Conv", 1, 0, 2, 3, OP(CONV), onnx_convert_conv},
    {"ConvTranspose", 1, 0, 2, 3, OP(CONV_TRANSPOSE), onnx_convert_conv_transpose},
    {"Div", 7, 0, 2, 2, OP(DIV), onnx_convert_plain},
    {"Dropout", 7, 0, 1, 3, OP(RESHAPE), onnx_convert_dropout},
    {"Elu", 6, 0, 1, 1, OP(ELU), onnx_convert_unary},
    {"Erf", 9, 0, 1, 1, OP(ERF), onnx_convert_plain},
    {"Exp", 6, 0, 1, 1, OP(EXP), onnx_convert_plain},
    {"Expand", 8, 0, 2, 2, OP(EXPAND), onnx_convert_expand},
    {"Flatten", 1, 0, 1, 1, OP(RESHAPE), onnx_convert_flatten},
    {"Floor", 6, 0, 1, 1, OP(FLOOR), onnx_convert_plain},
    {"Gather", 1, 0, 2, 2, OP(GATHER), onnx_convert_gather},
    {"Gemm", 7, 0, 2, 3, OP(GEMM), onnx_convert_gemm},
    {"GlobalAveragePool", 1, 0, 1, 1, OP(GLOBAL_AVERAGE_POOL), onnx_convert_global_pool},
    {"GlobalMaxPool", 1, 0, 1, 1, OP(GLOBAL_MAX_POOL), onnx_convert_global_pool},
    {"HardSigmoid", 6, 0, 1, 1, OP(HARD_SIGMOID), onnx_convert_unary},
    {"HardSwish", 14, 0, 1, 1, OP(HARD_SWISH), onnx_convert_plain},
    {"Identity", 1, 0, 1, 1, OP(RESHAPE), onnx_convert_identity},
    {"LRN", 1, 0, 1, 1, OP(LRN), onnx_convert_lrn},
    {"LeakyRelu", 6, 0, 1, 1, OP(LEAKY_RELU), onnx_convert_unary},
    {"Log", 6, 0, 1, 1, OP(LOG), onnx_convert_plain},
    {"LogSoftmax", 1, 0, 1, 1, OP(LOG_SOFTMAX), onnx_convert_softmax},
    {"MatMul", 1, 0, 2, 2, OP(MATMUL), onnx_convert_plain},
    {"Max", 6, 0, 1, ANY, OP(MAX), onnx_convert_variadic},
    {"MaxPool", 1, 0, 1, 1, OP(MAX_POOL), onnx_convert_pool},
    {"Mean", 6, 0, 1, ANY, OP(MEAN), onnx_convert_variadic},
    {"Min", 6, 0, 1, ANY, OP(MIN), onnx_convert_variadic},
    {"Mul", 7, 0, 2, 2, OP(MUL), onnx_convert_plain},
    {"Neg", 6, 0, 1, 1, OP(NEG), onnx_convert_plain},
    {"PRelu", 7, 0, 2, 2, OP(PRELU), onnx_convert_plain},
    {"Pad", 2, 0, 1, 3, OP(PAD), onnx_convert_pad},
    {"Pow", 7, 0, 2, 2, OP(POW), onnx_convert_pow},
    {"Range", 11, 0, 3, 3, OP(INPUT), onnx_convert_range},
    {"Reciprocal", 6, 0, 1, 1, OP(RECIPROCAL), onnx_convert_plain},
    {"ReduceMax", 1, 0, 1, 1, OP(REDUCE_MAX), onnx_convert_reduce},
    {"ReduceMean", 1, 0, 1, 1, OP(REDUCE_MEAN), onnx_convert_reduce},
    {"ReduceMin", 1, 0, 1, 1, OP(REDUCE_MIN), onnx_convert_reduce},
    {"ReduceSum", 1, 0, 1, 2, OP(REDUCE_SUM), onnx_convert_reduce},
    {"Relu", 6, 0, 1, 1, OP(RELU), onnx_convert_plain},
    {"Reshape", 5, 0, 2, 2, OP(RESHAPE), onnx_convert_reshape},
    {"Resize", 10, 0, 1, 4, OP(RESIZE), onnx_convert_resize},
    {"Selu", 6, 0, 1, 1, OP(SELU), onnx_convert_unary},
    {"Shape", 1, 0, 1, 1, OP(INPUT), onnx_convert_shape},
    {"Sigmoid", 6, 0, 1, 1, OP(SIGMOID), onnx_convert_plain},
    {"Size", 1, 0, 1, 1, OP(INPUT), onnx_convert_size},
    {"Slice", 1, 0, 1, 5, OP(SLICE), onnx_convert_slice},
    {"Softmax", 1, 0, 1, 1, OP(SOFTMAX), onnx_convert_softmax},
    {"Softplus", 1, 0, 1, 1, OP(SOFTPLUS), onnx_convert_plain},
    {"Softsign", 1, 0, 1, 1, OP(SOFTSIGN), onnx_convert_plain},
    {"Split", 2, 0, 1, 2, OP(SLICE), onnx_convert_split},
    {"Sqrt", 6, 0, 1, 1, OP(SQRT), onnx_convert_plain},
    {"Squeeze", 1, 0, 1, 2, OP(RESHAPE), onnx_convert_squeeze},
    {"Sub", 7, 0, 2, 2, OP(SUB), onnx_convert_plain},
    {"Sum", 6, 0, 1, ANY, OP(SUM), onnx_convert_variadic},
    {"Tanh", 6, 0, 1, 1, OP(TANH), onnx_convert_plain},
    {"Tile", 6, 0, 2, 2, OP(EXPAND), onnx_convert_tile},
    {"Transpose", 1, 0, 1, 1, OP(TRANSPOSE), onnx_convert_transpose},
    {"Unsqueeze", 1, 0, 1, 2, OP(RESHAPE), onnx_convert_unsqueeze},
    {"Upsample", 7, 9, 1, 2, OP(RESIZE), onnx_convert_upsample},
};

const struct onnx_op *onnx_op_find(const char *domain, const char *type, int opset) {
  if (!type || (domain && *domain && strcmp(domain, "ai.onnx") != 0)) return NULL;
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
    if (strcmp(ops[i].type, type) != 0 || opset < ops[i].since) continue;
    if (ops[i].until && opset > ops[i].until) continue;
    return &ops[i];
  }
  return NULL;
}
