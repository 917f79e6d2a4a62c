#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `braid bench model`: Braid alone, peers that agree, differ, fail (played by a script in node's place), and ONNX Runtime
# itself where it is installed.
# test_bench_model.sh BIN
. "$(dirname "$0")/lib.sh"
net=squeezenet1_1

status 2 "which networks" "$braid" bench model
status 2 "'torch' is none of" "$braid" bench model $net --peers opencv,torch
status 3 "" "$braid" bench model nonet --peers none
status 0 '' "$braid" bench model $net --peers none --rounds 2 --json
fields nets geomean missing threads fma_loop version model macs rounds peak_gflops machine braid peers slowest name \
  runtime_version min_ms p50_ms p90_ms gflops of_peak load_ms first_ms peak_rss_bytes op ms
grep -q '"peers":\[\]' "$tmp/out" || fail "there are peers without any"
grep -q '"peak_rss_bytes":0' "$tmp/out" && fail "no memory was measured"
[ "$(grep -o '"op":' "$tmp/out" | wc -l)" -eq 3 ] || fail "not three slowest layers"

# --- Braid once more, in lower precision: its answers differ, and its times count
status 2 "none of fp32, bf16, int8" "$braid" bench model $net --precision half
status 0 '' "$braid" bench model $net --precision int8 --peers none --rounds 1 --json
grep -q '"name":"braid-int8"' "$tmp/out" || fail "Braid in int8 takes no part"
grep -q '"name":"braid-int8".*"agrees":true,"difference":0\.[0-9]*[1-9]' "$tmp/out" || fail "int8 rounds nothing"

# --- a peer that is not there
mkdir "$tmp/empty" "$tmp/fake"
for tool in sh dirname cp dd; do ln -s "$(command -v $tool)" "$tmp/fake/$tool"; done
status 0 "onnxruntime is not here; to compare with it, install nodejs" \
  env PATH="$tmp/empty" "$braid" bench model $net --peers onnxruntime --rounds 1 --json
grep -q '"missing":\[{"name":"onnxruntime","install":"nodejs' "$tmp/out" || fail "the missing peer is not in the JSON"

# --- a peer that is played: it takes 3 ms, always; its results are Braid's, if it is told so
cat >"$tmp/fake/node" <<'END'
#!/bin/sh
[ "$2" = --version ] && { echo "version 9.8.7"; exit; }
dir=$(dirname "$2") out=$(dirname "$2")/out-onnxruntime0.npy
case $FAKE in
dies) echo "Error: operator Foo is unknown" >&2; echo "  at line 1" >&2; exit 1 ;;
babbles) echo "hello" ;;
*) echo "first 5000000" ;;
esac
while read -r line; do
  case $line in
  run) [ "$FAKE" = tires ] && exit 1; echo "ns 3000000" ;;
  write)
    cp "$dir/out-braid0.npy" "$out"
    [ "$FAKE" = wrong ] && printf '\000\000\200\077' | dd of="$out" bs=1 seek=200 conv=notrunc 2>/dev/null
    echo written ;;
  esac
done
END
chmod +x "$tmp/fake/node"
fake() { # FAKE STATUS PATTERN ARGUMENT...
  how=$1 want=$2 said=$3
  shift 3
  status "$want" "$said" env PATH="$tmp/fake" FAKE="$how" "$braid" bench model $net --peers onnxruntime "$@"
}
numbers() { # of a field, in order
  grep -o "\"$1\":[-0-9.e]*" "$tmp/out" | cut -d: -f2
}
fake good 0 '' --rounds 1 --json
fields ratio ratio_p10 ratio_p90 difference
grep -q '"runtime_version":"9.8.7","min_ms":3.0,"p50_ms":3.0' "$tmp/out" || fail "the peer's times are not its own"
grep -q '"agrees":true,"difference":0.0' "$tmp/out" || fail "equal results differ"
set -- $(numbers p50_ms) $(numbers ratio)
awk -v braid="$1" -v peer="$2" -v ratio="$3" 'BEGIN {d = ratio * braid / peer - 1; exit !(d < 1e-6 && d > -1e-6)}' ||
  fail "the ratio $3 is not $2 by $1"
fake good 0 '' resnet18 --rounds 3 --json
set -- $(numbers ratio) $(numbers onnxruntime)
awk -v a="$1" -v b="$2" -v mean="$3" 'BEGIN {d = a * b / (mean * mean) - 1; exit !(d < 1e-6 && d > -1e-6)}' ||
  fail "$3 is not the geometric mean of $1 and $2"
fake good 0 '' --rounds 2
grep -q '^onnxruntime 9.8.7  *3.00  *3.00 ' "$tmp/out" || fail "no row of the peer"
grep -q '^onnxruntime takes [0-9.]* times as long as braid' "$tmp/out" || fail "no geometric mean"
grep -q '^slowest layers, one worker: .*GFLOP/s; .*GFLOP/s; .*GFLOP/s$' "$tmp/out" || fail "no slowest layers"

fake wrong 1 "onnxruntime is left out: its output .* differs from Braid's by" --rounds 1 --json
grep -q '"agrees":false,"error":"its output' "$tmp/out" || fail "the difference is not in the JSON"
grep -q '"ratio":' "$tmp/out" && fail "times of a peer that is wrong count"
fake dies 0 "left out: it ended early: Error: operator Foo is unknown" --rounds 1
grep -q "^onnxruntime does not count: it ended early" "$tmp/out" || fail "the table says nothing of the peer that died"
fake tires 0 "onnxruntime is left out" --rounds 1
fake babbles 0 "left out: it says 'hello', not 'first '" --rounds 1
[ -z "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -user "$(id -u)" -newer "$tmp/fake/node" -name 'braid-model-*' 2>/dev/null)" ] ||
  fail "temporary folders are left behind"

# --- ONNX Runtime itself
if ! command -v node >/dev/null; then
  echo "SKIPPED: ONNX Runtime takes no part: node is not installed"
elif ! node -e 'require("onnxruntime-node")' 2>/dev/null; then
  echo "SKIPPED: ONNX Runtime takes no part: node has no module onnxruntime-node (NODE_PATH says where it is)"
else
  status 0 '' "$braid" bench model $net --peers onnxruntime --rounds 2 --threads 2 --json
  grep -q '"name":"onnxruntime","runtime_version":"[0-9.]*","min_ms":' "$tmp/out" || fail "ONNX Runtime did not run"
  grep -q '"agrees":true' "$tmp/out" || fail "ONNX Runtime and Braid differ"
fi
finish
