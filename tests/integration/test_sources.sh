#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Where an edge's frames come from: raw video and YUV4MPEG2, on standard input and through a FIFO, against the same pixels as an
# array; streams that are cut short or are none; frames that come too fast, held up or dropped, every one accounted for.
. "$(dirname "$0")/lib.sh"
model=squeezenet1_1

# Three frames of pseudo-random pixels: rgb24, bgr24, and an array [3,3,224,224].
perl -e '
  my ($dir, $n, $x, @px) = ($ARGV[0], 224 * 224, 12345);
  for (1 .. 9 * $n) { $x = ($x * 1103515245 + 12345) % 2147483648; push @px, ($x >> 16) & 255 }
  open(my $rgb, ">:raw", "$dir/rgb24"); open(my $bgr, ">:raw", "$dir/bgr24"); open(my $npy, ">:raw", "$dir/frames.npy");
  my $head = sprintf("%-117s\n", "{\x27descr\x27: \x27|u1\x27, \x27fortran_order\x27: False, \x27shape\x27: (3, 3, 224, 224), }");
  print $npy "\x93NUMPY\x01\x00", pack("v", length $head), $head, pack("C*", @px);
  for my $o (0, 3 * $n, 6 * $n) {
    for my $i ($o .. $o + $n - 1) {
      print $rgb pack("C3", $px[$i], $px[$i + $n], $px[$i + 2 * $n]);
      print $bgr pack("C3", $px[$i + 2 * $n], $px[$i + $n], $px[$i]) } }' "$tmp" || fail "no frames"
# Ten grey frames of 64x48 as yuv420p: 128 everywhere is grey.
head -c $((64 * 48 * 3 / 2)) /dev/zero | tr '\0' '\200' >"$tmp/grey"
{ echo "YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg"; for i in 1 2 3 4 5 6 7 8 9 10; do echo FRAME; cat "$tmp/grey"; done; } >"$tmp/grey.y4m"
for i in 1 2 3 4 5 6 7 8 9 10; do cat "$tmp/grey"; done >"$tmp/grey.raw"

listening "$tmp/cloud" "$braid" cloud --listen tcp://127.0.0.1:0 --threads 1 --profiles "$tmp"
common="--connect $address --threads 1 --adapt off --profile $tmp/edge.json --heartbeat 2s"

# takes FRAMES FILE|- OPTION...: standard input from FILE; the summary in $tmp/out
takes() {
  want=$1 from=$2
  shift 2
  checks=$((checks + 1))
  timeout "$limit" "$braid" edge $model $common --json "$@" <"$from" >"$tmp/out" 2>"$tmp/err" || fail "$*: $(tail -n 1 "$tmp/err")"
  [ "$(summary answered)" = "$want" ] || fail "$*: $(tail -n 1 "$tmp/out" | cut -c 1-200), not $want answers"
}
summary() { sed -n 's/.*"summary".*"'"$1"'":\([0-9]*\).*/\1/p' "$tmp/out" | tail -n 1; }

takes 3 /dev/null --input "$tmp/frames.npy" --output "$tmp/want"
for form in rgb24 bgr24; do
  takes 3 "$tmp/$form" --input - --raw 224x224:$form --preprocess raw --output "$tmp/$form.out"
  for f in "$tmp"/want/*; do
    checks=$((checks + 1))
    "$bin/npy_compare" "$f" "$tmp/$form.out/$(basename "$f")" 1e-4 >/dev/null || fail "$form: $(basename "$f") differs from the array's"
  done
done
takes 10 "$tmp/grey.y4m" --input - --output "$tmp/y4m.out"
takes 10 "$tmp/grey.raw" --input - --raw 64x48:yuv420p --output "$tmp/raw.out"
takes 10 /dev/null --input "$tmp/grey.y4m"
for f in "$tmp"/y4m.out/*; do
  checks=$((checks + 1))
  "$bin/npy_compare" "$f" "$tmp/raw.out/$(basename "$f")" 1e-4 >/dev/null || fail "$(basename "$f") differs from the raw frame's"
done
takes 4 "$tmp/grey.raw" --input - --raw 64x48:nv12 --frames 4
mkfifo "$tmp/fifo"
cat "$tmp/rgb24" >"$tmp/fifo" &
takes 3 /dev/null --input "$tmp/fifo" --raw 224x224:rgb24

# Cut in the middle of a frame; nothing at all; no stream; wrong words.
head -c 200000 "$tmp/rgb24" >"$tmp/cut"
takes 1 "$tmp/cut" --input - --raw 224x224:rgb24
grep -q "cut short" "$tmp/err" || fail "nobody says that the last frame was cut short"
takes 0 /dev/null --input - --raw 224x224:rgb24
yes "not a film" | head -c 3000 >"$tmp/junk.y4m"
status 3 "no YUV4MPEG2 stream" "$braid" edge $model $common --input "$tmp/junk.y4m"
{ echo "YUV4MPEG2 W64 H48 C444"; cat "$tmp/grey"; } >"$tmp/wide.y4m"
status 3 "give ffmpeg -pix_fmt yuv420p" "$braid" edge $model $common --input "$tmp/wide.y4m"
{ echo "YUV4MPEG2 W64 H48"; cat "$tmp/grey"; } >"$tmp/headless.y4m"
status 3 "header of more than 1024 bytes" "$braid" edge $model $common --input "$tmp/headless.y4m"
status 3 "99999x2" "$braid" edge $model $common --input "$tmp/rgb24" --raw 99999x2:rgb24
status 3 "both sides must be even" "$braid" edge $model $common --input "$tmp/rgb24" --raw 63x48:nv12
status 3 "is not WIDTHxHEIGHT" "$braid" edge $model $common --input "$tmp/rgb24" --raw 64x48:yuv999
status 2 "what --input is" "$braid" edge $model $common --raw 64x48:rgb24
status 2 "drop-oldest or drop-newest" "$braid" edge $model $common --when-full maybe
status 2 "come by themselves" "$braid" edge $model $common --when-full drop-newest
checks=$((checks + 1))
"$braid" run $model --input - <"$tmp/grey.y4m" >/dev/null 2>"$tmp/err" && fail "run takes a stream"
grep -q "braid edge" "$tmp/err" || fail "run does not say who takes streams: $(cat "$tmp/err")"

# A device 20 times slower cannot keep up with 200 frames a second: what is not answered is dropped and said to be.
for full in drop-oldest drop-newest; do
  checks=$((checks + 2))
  timeout "$limit" "$braid" edge $model $common --slow 20 --profile "$tmp/slow.json" --plan /dev/stdin --fps 200 --frames 60 --when-full $full --json \
    >"$tmp/out" 2>"$tmp/err" <<PLAN || fail "$full: $(tail -n 1 "$tmp/err")"
$("$braid" plan $model --edge-gflops 10 --cloud-gflops 10 --up 1mbit --policy edge-only -o - 2>/dev/null)
PLAN
  answered=$(summary answered) dropped=$(summary dropped) said=$(grep -c '"dropped":true' "$tmp/out")
  [ $((answered + dropped)) -eq 60 ] || fail "$full: $answered answered, $dropped dropped, of 60"
  [ "$dropped" -gt 0 ] || fail "$full: nothing was dropped"
  # frames dropped behind the last answer are in the sum alone
  [ "$said" -le "$dropped" ] && [ "$said" -gt 0 ] || fail "$full: $dropped dropped, $said said to be"
  [ "$(grep -c '"latency_ms":[0-9]' "$tmp/out")" -eq "$answered" ] || fail "$full: lines for frames"
done
takes 20 /dev/null --input "$tmp/frames.npy" --fps 200 --frames 20 # held up: all of them

# Full disk, closed pipe.
if [ -w /dev/full ]; then
  checks=$((checks + 1))
  "$braid" edge $model $common --frames 2 --json >/dev/full 2>"$tmp/err"
  [ $? -ne 0 ] || fail "a full disk goes unnoticed"
fi
finish
