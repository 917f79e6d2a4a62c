#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Lower precision between real processes: files that come back as the very network, clouds that make bfloat16 of what they
# have, edges that bring what they calibrated; plans, profiles and slices. Answers are those of 'braid run --precision', to
# the bit.
#   test_precision.sh BIN
. "$(dirname "$0")/lib.sh"

# Pictures of bytes that are the same everywhere: two to calibrate with, one to ask about.
array() {
  printf "\x93NUMPY\x01\x00\x76\x00%-117s\n" "{'descr': '|u1', 'fortran_order': False, 'shape': ($1, 3, 224, 224), }"
  seq "$2" 90000 | head -c $(($1 * 150528)) | tr '0-9\n' '\000\031\062\113\144\175\226\257\310\341\372'
}
array 2 1 >"$tmp/pictures.npy"
array 1 50000 >"$tmp/picture.npy"
mkdir "$tmp/models" "$tmp/edge"
net=$tmp/edge/mine.onnx
int8="--precision int8 --calibrate $tmp/pictures.npy"
status 0 "" "$braid" export squeezenet1_1 "$net"

# ---- wrong use
status 2 "none of fp32, bf16, int8" "$braid" export "$net" "$tmp/x.onnx" --precision fp16
status 2 "int8 needs --calibrate" "$braid" export "$net" "$tmp/x.onnx" --precision int8
status 2 "int8 needs --calibrate" "$braid" edge "$net" --precision int8
status 2 "none of minmax, percentile" "$braid" info "$net" $int8 --calibration mean
status 2 "none of minmax, percentile" "$braid" info "$net" $int8 --calibration entropy:3
status 2 "no percentage" "$braid" info "$net" $int8 --calibration percentile:0
status 2 "no percentage" "$braid" info "$net" $int8 --calibration percentile:9x
status 2 "goes with --precision int8" "$braid" profile "$net" --calibration entropy
status 2 "goes with --precision int8" "$braid" edge "$net" --precision bf16 --calibrate "$tmp/pictures.npy"
status 0 "calibrated with pseudo-random inputs" "$braid" info squeezenet1_1 --precision int8 --json

# ---- what is written is what is made, by every command
hash_of() {
  status 0 "" "$@" --json
  hash=$(grep -o '"hash":"[0-9a-f]*"' "$tmp/out")
}
for precision in bf16 int8; do
  options="--precision $precision"
  [ $precision = int8 ] && options=$int8
  hash_of "$braid" export "$net" "$tmp/models/mine@$precision.onnx" $options
  written=$hash
  hash_of "$braid" info "$tmp/models/mine@$precision.onnx"
  checks=$((checks + 1))
  [ -n "$hash" ] && [ "$hash" = "$written" ] || fail "$precision: another network comes back"
  hash_of "$braid" info "$net" $options
  checks=$((checks + 1))
  [ "$hash" = "$written" ] || fail "$precision: 'info' makes another network than 'export'"
  status 0 "" "$braid" run "$net" $options --kernels ref --input "$tmp/picture.npy" --output "$tmp/$precision.npy"
done
rm "$tmp/models/mine@bf16.onnx"
hash_of "$braid" info "$net" $int8
percentile=$hash
for method in minmax entropy percentile:90; do
  hash_of "$braid" info "$net" $int8 --calibration $method
  checks=$((checks + 1))
  [ "$hash" != "$percentile" ] || fail "$method: the network of percentile"
done

# runs PRECISION MODEL OPTION...: an edge with the reference kernels answers what 'braid run' does
runs() {
  precision=$1
  shift
  options="--precision $precision"
  [ "$precision" = int8 ] && options=$int8
  rm -rf "$tmp/answers"
  status 0 "" "$braid" edge "$@" $options --connect "$url" --kernels ref --input "$tmp/picture.npy" --frames 2 \
    --fallback off --output "$tmp/answers" --json
  for f in "$tmp/answers"/*; do
    checks=$((checks + 1))
    "$bin/npy_compare" "$tmp/$precision.npy" "$f" 0 >/dev/null || fail "$* $precision: $f is another answer"
  done
}

# ---- plans of the lowered network, with its profile
status 0 "" "$braid" profile "$net" $int8 --repeat 1 -o "$tmp/int8.json"
status 0 "" "$braid" compare "$net" $int8 --edge "$tmp/int8.json" --cloud "$tmp/int8.json" --json
status 3 "int8.json" "$braid" compare "$net" --edge "$tmp/int8.json" --cloud "$tmp/int8.json"
plan="--edge-gflops 1 --cloud-gflops 100 --up 1mbit --rtt 1ms"
status 0 "" "$braid" plan "$net" $int8 $plan --slices 3 -o "$tmp/split.json"
status 0 "" "$braid" plan "$net" $int8 $plan --policy cloud-only -o "$tmp/cloud.json"
status 0 "" "$braid" plan "$net" --precision bf16 $plan --slices 3 -o "$tmp/bf16.json"

# ---- the cloud has the file; the edge makes the same of its own
status 0 "" cp "$net" "$tmp/models/mine.onnx"
listening "$tmp/has" "$braid" cloud --listen tcp://127.0.0.1:0 --threads 2 --kernels ref --models "$tmp/models"
url=$address
runs int8 "$net" --plan "$tmp/split.json"
runs int8 "$net" --plan "$tmp/cloud.json"
runs bf16 "$net" --plan "$tmp/bf16.json" # of mine.onnx, which it has
status 4 "has hash" "$braid" edge "$net" $int8 --calibration minmax --connect "$url" --plan "$tmp/cloud.json"
status 4 "has hash" "$braid" edge "$net" --precision bf16 --name mine --connect "$url" --plan "$tmp/bf16.json"
# names are not paths, and nothing is made twice over
status 4 "names no precision" "$braid" edge "$net" --name mine@bf16@bf16 --connect "$url" --plan "$tmp/cloud.json"
status 4 "names no precision" "$braid" edge "$net" --name mine@fp64 --connect "$url" --plan "$tmp/cloud.json"
status 4 "int8 was calibrated elsewhere" "$braid" edge "$net" --name squeezenet1_1@int8 --connect "$url" --plan "$tmp/cloud.json"
status 4 "model name of letters" "$braid" edge "$net" --name "..@bf16" --connect "$url" --plan "$tmp/cloud.json"
status 4 "neither in the zoo" "$braid" edge "$net" --name nobody@bf16 --connect "$url" --plan "$tmp/cloud.json"
kill "$pid"
wait "$pid"

# ---- it has not: the edge brings it
listening "$tmp/takes" "$braid" cloud --listen tcp://127.0.0.1:0 --threads 2 --kernels ref --models "$tmp/brought" \
  --accept-models
url=$address
status 4 "start the edge with --upload-model" "$braid" edge "$net" $int8 --connect "$url" \
  --plan "$tmp/cloud.json"
runs int8 "$net" --plan "$tmp/split.json" --upload-model
told "$tmp/takes" "^uploaded .*mine@int8"
runs int8 "$net" --plan "$tmp/cloud.json" # it is there now
runs bf16 "$net" --plan "$tmp/bf16.json" --upload-model
# a network of the zoo: bfloat16 is made there, int8 is brought
status 0 "" "$braid" plan squeezenet1_1 --precision bf16 $plan --policy cloud-only -o "$tmp/zoo_bf16.json"
status 0 "" "$braid" plan squeezenet1_1 $int8 $plan --policy cloud-only -o "$tmp/zoo_int8.json"
runs bf16 squeezenet1_1 --plan "$tmp/zoo_bf16.json"
runs int8 squeezenet1_1 --plan "$tmp/zoo_int8.json" --upload-model
checks=$((checks + 1))
[ "$(ls "$tmp/brought/uploaded" | grep -c onnx)" -eq 2 ] || fail "brought: $(ls "$tmp/brought/uploaded")"
kill "$pid"
wait "$pid"
finish
