#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `braid check-onnx` over the suite that libonnx-testdata installs: nothing fails (with the fast kernels, with the reference,
# and after a round trip through `braid export`), and of the operators listed here every case passes, so that "not supported"
# cannot swallow what worked. Skipped without the package.
#   test_onnx_suite.sh BIN [SUITE_DIR]
suite=${2:-/usr/share/libonnx-testdata/data}
if [ ! -d "$suite/node" ]; then
  echo "SKIPPED: no ONNX test data in $suite (apt install libonnx-testdata)"
  exit 77
fi
. "$(dirname "$0")/lib.sh"
limit=300

# Names of cases, without "test_": every one that begins so passes. What a newer suite adds to these is asked for, too.
must_pass="abs$ acos add_ add$ and argmax argmin asin atan averagepool basic_conv_ batchnorm_epsilon$ batchnorm_example$
bitshift cast_DOUBLE cast_FLOAT16 cast_FLOAT_to_DOUBLE cast_FLOAT_to_FLOAT16 castlike_DOUBLE ceil celu clip compress concat
constant conv_ convinteger convtranspose cos cumsum depthtospace dequantizelinear$ div dropout dynamicquantizelinear$ edge_pad elu equal erf exp expand eyelike flatten floor gather
gemm globalaveragepool globalmaxpool greater hardmax hardsigmoid hardswish identity$ instancenorm isinf isnan layer_norm leakyrelu
less log logsoftmax lrn matmul_ matmulinteger max_example max_float32 max_int max_one max_two max_uint maxpool maxunpool mean min_example
min_float32 min_int min_one min_two min_uint mod_broadcast mod_int64 mod_mixed_sign_int mod_uint mul mvn neg nonmaxsuppression
nonzero not_ onehot or pow prelu qlinearconv qlinearmatmul quantizelinear$ range_float_type_positive_delta$ range_int32_type_negative_delta$ reciprocal reduce_ reflect_pad
relu reshape resize round scatter selu shape_ shape$ shrink sigmoid sign sin size slice softmax softplus softsign spacetodepth split
sqrt squeeze sub sum tan thresholdedrelu tile top_k transpose tril triu unsqueeze upsample where xor
AvgPool BatchNorm ConstantPad Conv1d Conv2d Conv3d ConvTranspose ELU Embedding GLU LeakyReLU Linear LogSoftmax MaxPool PReLU
PixelShuffle ReLU ReflectionPad ReplicationPad SELU Sigmoid Softmax Softplus Softsign Tanh ZeroPad operator_"

check() { # OPTION...
  status 0 '' "$braid" check-onnx --json "$@" "$suite"
  grep -o '"passed":[0-9]*,"failed":[0-9]*,"unsupported":[0-9]*,"total":[0-9]*' "$tmp/out"
  grep -q '"failed":0,' "$tmp/out" || fail "check-onnx $*: cases failed"
  grep -o '"name":"[^"]*","status":"[a-z]*"' "$tmp/out" | sed 's/"name":"test_//; s/","status":"/ /; s/"$//' >"$tmp/cases"
  for prefix in $must_pass; do
    grep "^${prefix/$/ }" "$tmp/cases" >"$tmp/of_prefix" || fail "check-onnx $*: no case begins with $prefix"
    grep -v ' passed$' "$tmp/of_prefix" && fail "check-onnx $*: these are to pass"
  done
}

check --kernels fast
check --kernels ref
check --round-trip
# The newer half of the suite among the test data, up to opset 25.
newer=${BRAID_TEST_DATA:-../shared}/onnx-node
if [ -d "$newer" ]; then
  status 0 '' "$braid" check-onnx --json "$newer"
  grep -o '"passed":[0-9]*,"failed":[0-9]*,"unsupported":[0-9]*,"total":[0-9]*' "$tmp/out"
  grep -q '"failed":0,"unsupported":0,' "$tmp/out" || fail "not every case of $newer passes"
else
  echo "SKIPPED: no test data in $newer"
fi
status 3 'no folder with a model.onnx' "$braid" check-onnx "$tmp"
mkdir -p "$tmp/suite/test_wrong/test_data_set_0"
cp "$suite/node/test_relu/model.onnx" "$tmp/suite/test_wrong/"
cp "$suite/node/test_relu/test_data_set_0/input_0.pb" "$tmp/suite/test_wrong/test_data_set_0/"
cp "$suite/node/test_relu/test_data_set_0/input_0.pb" "$tmp/suite/test_wrong/test_data_set_0/output_0.pb"
status 1 '' "$braid" check-onnx "$tmp/suite"
grep -q 'failed: test_wrong: element' "$tmp/out" || fail "a wrong answer is not told"
finish
