#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# braid bench pipeline --epochs: plans change while frames flow between two processes; every answer is the same, every
# change is made. Says nothing about how late frames are: that is for a quiet machine.
. "$(dirname "$0")/lib.sh"
status 0 '' "$braid" bench pipeline --epochs --frames 3 --changes 25 --json
fields model changes period_ms seconds_changing rows name frames p50_ms p99_ms max_ms latency_p50_ms latency_p99_ms \
  latency_max_ms max_delay_periods late wrong version
checks=$((checks + 3))
grep -q '"changes":25,' "$tmp/out" || fail "not 25 changes of plan"
grep -q '"wrong":0,' "$tmp/out" || fail "answers differ"
grep -q '"name":"as it is","frames":24,' "$tmp/out" || fail "not 24 frames without changes"
status 2 '--changes' "$braid" bench pipeline --epochs --changes 0
status 2 'one network' "$braid" bench pipeline --epochs squeezenet1_1 googlenet
finish
