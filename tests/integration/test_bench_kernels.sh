#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `braid bench kernels`: bench/shapes says what the networks are, wrong lines are named, a run has what docs/cli.md says.
# test_bench_kernels.sh BIN SHAPES_DIR
. "$(dirname "$0")/lib.sh"
shapes=$2

# --- the files are the networks' layers, and have all their multiply-adds (counted here by another program)
macs() {
  awk '
    function number(key, usual) { return key in value ? value[key] : usual }
    function part(key, usual, i, n, p) { n = split(number(key, usual), p, /[x,]/); return p[n == 1 ? 1 : i] }
    function out(i) {
      return int((part("in", 0, i + 1) + part("pad", 0, i) + part("pad", 0, i + 2) - part("kernel", 0, i)) / part("stride", 1, i)) + 1
    }
    /^[^#]/ {
      split("", value)
      for (i = 2; i <= NF; i++) { split($i, pair, "="); value[pair[1]] = pair[2] }
      if ($1 == "gemm") sum += number("m") * number("n") * number("k") * number("count", 1)
      else sum += number("out") * out(1) * out(2) * part("in", 0, 1) / number("group", 1) * part("kernel", 0, 1) * part("kernel", 0, 2) * number("count", 1)
    }
    END { printf "%.0f\n", sum }' "$1"
}
for file in "$shapes"/*.txt; do
  net=$(basename "$file" .txt)
  status 0 '' "$braid" bench kernels --net "$net" --list
  grep -v '^#' "$file" | cmp -s - "$tmp/out" || fail "$file is not what 'bench kernels --net $net --list' prints: make it anew"
  status 0 '' "$braid" info "$net" --json
  grep -q "\"macs\":$(macs "$file")[,}]" "$tmp/out" || fail "$file has $(macs "$file") multiply-adds, $net another number"
done
[ "$(ls "$shapes"/*.txt | wc -l)" -ge 9 ] || fail "the zoo has more networks than $shapes"

# --- what is read is what is printed
cat >"$tmp/all.txt" <<'END'
# every key

conv name=all in=4x9x7 out=6 kernel=3x2 stride=2x1 pad=1,0,2,1 dilation=1x2 group=2 batch=2 residual=1 bias=0 count=3 act=Clip:0:6
gemm name=dense m=2 n=5 k=7 trans_a=1 trans_b=1 count=2 act=Relu # and a comment
END
status 0 '' "$braid" bench kernels --shapes "$tmp/all.txt" --list
sed -n "/^[cg]/{s/ # .*//;p;}" "$tmp/all.txt" | cmp - "$tmp/out" || fail "the lines are printed otherwise than they were read"
echo "conv name=short in=4x8x8 out=4 kernel=3 stride=2 pad=1 act=none" >"$tmp/short.txt"
status 0 '' "$braid" bench kernels --shapes "$tmp/short.txt" --list
grep -qx "conv name=short in=4x8x8 out=4 kernel=3x3 stride=2x2 pad=1,1,1,1" "$tmp/out" || fail "one number does not stand for all"

# --- wrong lines, by file and line
wrong() { # PATTERN LINE
  printf '# two good lines\nconv name=a in=1x4x4 out=1 kernel=1\n%s\n' "$2" >"$tmp/wrong.txt"
  status 3 "wrong.txt:3: .*$1" "$braid" bench kernels --shapes "$tmp/wrong.txt" --list
}
wrong "'pool' is no operator" "pool name=b in=1x4x4"
wrong "'kernel=' is missing" "conv name=b in=1x4x4 out=1"
wrong "'name=' is missing" "gemm m=1 n=1 k=1"
wrong "has no 'k'" "conv name=b in=1x4x4 out=1 kernel=1 k=3"
wrong "'k' comes twice" "gemm name=b m=1 n=1 k=3 k=4"
wrong "'stride' is not key=value" "conv name=b in=1x4x4 out=1 kernel=1 stride"
wrong "number from 1 to .* at 'x4'" "conv name=b in=1xx4 out=1 kernel=1"
wrong "number from 1 to .* at '0'" "conv name=b in=1x4x4 out=1 kernel=1 stride=0"
wrong "number from 1 to .* at '99999999999999999999'" "gemm name=b m=1 n=1 k=99999999999999999999"
wrong "is too much" "conv name=b in=1x4x4 out=1 kernel=1x1x1"
wrong "1 or 3 numbers, not 2" "conv name=b in=4x4 out=1 kernel=1"
wrong "does not divide" "conv name=b in=6x4x4 out=4 kernel=1 group=4"
wrong "kernel is larger" "conv name=b in=1x4x4 out=1 kernel=7 pad=1"
wrong "too large to be timed" "gemm name=b m=1000000 n=1000000 k=1"
wrong "no such activation" "gemm name=b m=1 n=1 k=1 act=Square"
wrong "two numbers follow" "gemm name=b m=1 n=1 k=1 act=Clip:0"
echo "# nothing" >"$tmp/empty.txt"
status 3 "there is no layer in it" "$braid" bench kernels --shapes "$tmp/empty.txt"
status 3 "No such file" "$braid" bench kernels --shapes "$tmp/nowhere.txt"
status 2 "one of them" "$braid" bench kernels
status 2 "one of them" "$braid" bench kernels --shapes "$tmp/all.txt" --net alexnet
status 2 "no layer has such a name" "$braid" bench kernels nobody --shapes "$tmp/all.txt"
status 3 "" "$braid" bench kernels --net nonet

# --- a run: all kernels of small layers agree with the reference; every thread has rows, or too few
cat >"$tmp/run.txt" <<'END'
conv name=window in=3x20x17 out=8 kernel=3 stride=2 pad=1 act=Relu count=2
conv name=depthwise in=8x9x9 out=8 kernel=3 pad=1 group=8 act=Clip:0:6
conv name=point in=16x7x7 out=24 kernel=1 residual=1
conv name=row in=4x1x30 out=4 kernel=1x3
gemm name=dense m=1 n=10 k=33 trans_b=1
gemm name=wide m=5 n=6 k=7 trans_a=1
END
for threads in 1 3; do
  status 0 '' "$braid" bench kernels --shapes "$tmp/run.txt" --threads $threads --rounds 2 --json
  fields layers totals chosen_ms best_ms sgemm_ms threads rounds peak_gflops fma_loop cpu_flags openblas_core agrees \
    version name shape count macs m n k groups bound sgemm kernels chosen error of_sgemm min_us p50_us gflops of_peak
  [ "$(grep -o '"bound":' "$tmp/out" | wc -l)" -eq 6 ] || fail "not six layers"
  [ "$(grep -o '"chosen":true' "$tmp/out" | wc -l)" -eq 6 ] || fail "not one chosen kernel a layer"
  [ "$(grep -o '_f32__ref"' "$tmp/out" | wc -l)" -eq 6 ] || fail "not one reference a layer"
  grep -q '"agrees":false' "$tmp/out" && fail "a kernel is off its reference"
  grep -q '"count":2,"macs":19440,"m":8,"n":90,"k":27,"groups":1' "$tmp/out" || fail "the first layer's product is another"
  grep -q '"peak_gflops":0[.,]' "$tmp/out" && fail "no peak was measured"
done
status 0 '' "$braid" bench kernels dense --shapes "$tmp/run.txt" --rounds 1
grep -q '^dense  *gemm_f32__ref' "$tmp/out" || fail "no row of the reference"
grep -q '^dense  *sgemm 1x10x33' "$tmp/out" || fail "no row of sgemm"
grep -q '^point' "$tmp/out" && fail "a layer that was not asked for"
finish
