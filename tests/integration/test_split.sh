#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An edge and a cloud process over a shaped link give the answers of `braid run`, for every policy.
#   test_split.sh BIN ref NET...   reference kernels: the same bits, whole and in slices, one worker a site
#   test_split.sh BIN fast NET...  the fast kernels, two workers: to 1e-4 of the largest output; no NET: the whole zoo.
#                                  Three policies for each network, drawn by BRAID_SEED; with BRAID_LONG_TESTS all
# NET is a zoo name or an ONNX file; a file that is not here is skipped.
. "$(dirname "$0")/lib.sh"
kernels=$2
shift 2
tolerance=0
slices="1 3 auto"
threads=1
drawn=1000
seed=${BRAID_SEED:-$RANDOM}
if [ "$kernels" = fast ]; then
  [ -n "${BRAID_LONG_TESTS:-}" ] || { drawn=3 && echo "BRAID_SEED=$seed"; }
  tolerance=1e-4
  slices=auto
  threads=2
fi
nets=$*
[ -n "$nets" ] || nets=$("$braid" models --json | grep -o '"name":"[a-z][a-z0-9_]*","params"' | cut -d'"' -f4)
# The costs are made up, so that nothing is measured and every policy has a choice.
costs="--edge-workers $threads --cloud-workers $threads --edge-gflops 10 --cloud-gflops 80 --up 50mbit --rtt 2ms"
models=.
# exact says so where there are too many closed sets to try them all.
refuses() {
  ! timeout 60 "$braid" plan "$1" --policy exact --slices "$2" $costs -o "$tmp/plan.json" >/dev/null 2>"$tmp/err" &&
    grep -q 'too many' "$tmp/err"
}

for net in $nets; do case $net in */*.onnx) models=$(dirname "$net") ;; esac; done

listening "$tmp/cloud.out" "$braid" cloud --listen tcp://127.0.0.1:0 --threads $threads --kernels "$kernels" \
  --profiles "$tmp" --models "$models"
listening "$tmp/link.out" "$bin/braid-linkemu" --to "${address#tcp://}" --up 200mbit --down 200mbit --rtt 2ms
url=tcp://$address

# The flavours of cloud-only that send another form of the input are forecasts only.
policies() { "$braid" compare "$1" $costs --json | grep -o '"policy":"[^"]*"' | cut -d'"' -f4 | grep -v '^cloud-only-'; }

# draw NET: so many of the lines of standard input, others for another network
draw() {
  awk -v seed="$seed$(cksum <<<"$1" | cut -c1-4)" 'BEGIN { srand(seed) } { print rand(), $0 }' | sort | head -n $drawn |
    cut -d' ' -f2
}

# What tells plans apart: sites, order, slices; not who made them.
essence() { tr -d ' \n' <"$1" | sed 's/.*"serial"/"serial"/; s/"latency_ms".*//'; }

# split NET: two frames through the plan in plan.json, unless the same plan has been through
split() {
  essence "$tmp/plan.json" >"$tmp/key"
  grep -qxF -f "$tmp/key" "$tmp/seen" && return
  cat "$tmp/key" >>"$tmp/seen"
  echo >>"$tmp/seen"
  rm -rf "$tmp/answers"
  status 0 '' "$braid" edge "$1" --connect "$url" --threads $threads --kernels "$kernels" --plan "$tmp/plan.json" --frames 2 \
    --window 2 --timeout 60s -o "$tmp/answers"
  status 0 '' "$bin/npy_compare" "$tmp/want.npy" "$(ls "$tmp"/answers/000001_*.npy | head -n 1)" $tolerance
}

for net in $nets; do
  case $net in
  *.onnx) [ -f "$net" ] || { echo "SKIPPED: $net is not here"; continue; } ;;
  esac
  name=$(basename "$net" .onnx)
  status 0 '' "$braid" profile "$net" --repeat 1 --kernels fast -o "$tmp/$name.json"
  status 0 '' "$braid" run "$net" --kernels "$kernels" --threads 1 -o "$tmp/want.npy"
  : >"$tmp/seen"
  for policy in $(policies "$net" | draw "$net"); do
    for n in $slices; do
      [ "$policy" = exact ] && refuses "$net" "$n" && continue
      before=$failures
      status 0 '' "$braid" plan "$net" --policy "$policy" --slices "$n" $costs -o "$tmp/plan.json"
      split "$net"
      if [ "$policy" = cloud-only ]; then # all in the cloud, yet the input may not go there
        status 1 "private" "$braid" plan "$net" --policy "$policy" --slices "$n" $costs --private -o "$tmp/plan.json"
      else
        status 0 '' "$braid" plan "$net" --policy "$policy" --slices "$n" $costs --private -o "$tmp/plan.json"
        split "$net"
      fi
      [ "$failures" -eq "$before" ] || echo "    in $net, policy $policy, $n slices" >&2
    done
  done
  echo "$name: $(grep -c serial "$tmp/seen") plans"
done
finish
