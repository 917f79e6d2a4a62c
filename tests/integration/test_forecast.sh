#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# braid bench forecast on one network: every cell has a forecast, a measurement and answers that agree. Says nothing about
# how near they are: that is for a quiet machine.
. "$(dirname "$0")/lib.sh"
status 0 '' "$braid" bench forecast squeezenet1_1 --frames 2 --json
fields cells model policy objective mbit rtt_ms ratio predicted_ms measured_ms error agrees median_error max_error n version
checks=$((checks + 1))
[ "$(grep -o '"agrees":true' "$tmp/out" | wc -l)" -eq 3 ] || fail "not three cells that agree"
status 2 'no cell' "$braid" bench forecast no_such_network
finish
