#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `braid bench plan` keeps what it has found, goes on after an interruption, and says so when braid loses.
# test_bench_plan.sh BIN
. "$(dirname "$0")/lib.sh"

grid="$braid bench plan squeezenet1_1 mvcnn4_resnet18 --rates 1.1,20 --ratios 5 --loads 1 --rtts 10 --largest 0"
# What does not depend on the machine or on who was faster.
values() {
  tail -n +2 "$1" | sed 's/,[0-9]*\]/]/g' | sort
}

status 0 "" "$braid" bench plan squeezenet1_1 mvcnn4_resnet18 --quick --cells 12 --largest 100
grep -q "worse than no other policy" "$tmp/out" || fail "no verdict on a sample"

$grid --jobs 2 --results "$tmp/all" --report "$tmp/all.md" --json >"$tmp/json" || fail "the grid: exit status $?"
grep -q '"cells":16,"asked":16' "$tmp/json" || fail "not all cells were counted: $(cut -c1-200 "$tmp/json")"
[ "$(wc -l <"$tmp/all")" -eq 17 ] || fail "the results have $(wc -l <"$tmp/all") lines, not 17"
grep -q '^| latency, private input |' "$tmp/all.md" || fail "the report has no row of the private cells"

# Interrupted in the middle of a line: the half is run again, the rest is kept as it is.
head -n 9 "$tmp/all" >"$tmp/some"
sed -n 10p "$tmp/all" | cut -c1-60 | tr -d '\n' >>"$tmp/some"
$grid --results "$tmp/some" --resume >"$tmp/out" || fail "going on: exit status $?"
values "$tmp/all" >"$tmp/a"
values "$tmp/some" >"$tmp/b"
cmp "$tmp/a" "$tmp/b" || fail "interrupted and resumed results differ from those of one run"
[ "$(head -n 9 "$tmp/all")" = "$(head -n 9 "$tmp/some")" ] || fail "going on changed what was there"


# Asked for their own choice only: the first of each pair of plans is the same.
$grid --slices auto --results "$tmp/auto" >"$tmp/out" || fail "auto: exit status $?"
firsts() {
  values "$1" | grep -o '"\(model\|mbit\|private\|objective\)":[^,]*\|"[a-z-]*":\[\[[0-9]*' 
}
firsts "$tmp/all" >"$tmp/a"
firsts "$tmp/auto" >"$tmp/b"
cmp "$tmp/a" "$tmp/b" || fail "--slices auto gives other plans"

# A cell in which braid loses, or a plan beat the bound, is counted from the file, and the exit status says so.
sed '2s/"dads":\[\[[0-9]*/"dads":[[1/; 3s/"wrong":""/"wrong":"a plan of nobody"/' "$tmp/all" >"$tmp/lost"
$grid --results "$tmp/lost" --resume >"$tmp/out"
[ $? -eq 1 ] || fail "a lost cell: exit status is not 1"
grep -q "times dads (" "$tmp/out" || fail "the lost cell is not named"
grep -q "a plan of nobody" "$tmp/out" || fail "the wrong plan is not named"

status 3 "is there already" $grid --results "$tmp/all"
status 3 "other settings" $grid --results "$tmp/all" --resume --edge-gflops 20
echo '{"model":"squeezenet1_1"}' >>"$tmp/all"
status 3 "all:18: no cell" $grid --results "$tmp/all" --resume
status 2 "goes with --results" $grid --resume
status 2 "is no list of numbers" $grid --rates 1,,2
status 2 "comes twice" $grid --rates 1,2,1
status 3 "other settings" $grid --results "$tmp/all" --resume --slices auto
status 2 "neither auto nor both" $grid --slices 3
status 2 "is none of no, yes, both" $grid --private maybe
status 2 "No such file" $grid --models "$tmp/nowhere"

# A folder: what cannot be opened, and what plans like another, is left out.
mkdir "$tmp/folder"
status 0 "" "$braid" export mobilenet_v2 "$tmp/folder/one.onnx"
cp "$tmp/folder/one.onnx" "$tmp/folder/twin.onnx"
echo "no network" >"$tmp/folder/bad.onnx"
status 0 "twin.onnx plans like folder/one" $grid --models "$tmp/folder" --quick --cells 1
grep -q "left out: .*bad.onnx" "$tmp/err" || fail "the bad file is not mentioned"
if command -v gnuplot >/dev/null; then
  status 0 "" $grid --quick --cells 4 --picture "$tmp/map.svg"
  grep -q "</svg>" "$tmp/map.svg" || fail "no picture"
else
  echo "SKIPPED: gnuplot is not here"
fi
finish
