#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every zoo network, exported by `braid export` and run by ONNX Runtime (npm's onnxruntime-node), gives what `braid run`
# gives. ONNX Runtime is installed into the build tree (its own scripts, which fetch GPU parts, are not run); without node, npm or the package the check is skipped.
#   ort_check.sh BIN BUILD_DIR [NET...]
here=$(cd "$(dirname "$0")" && pwd)
ort=$2/onnxruntime
skip() {
  echo "SKIPPED: $*"
  exit 77
}
command -v node >/dev/null && command -v npm >/dev/null || skip "node or npm is not installed (apt install nodejs npm)"
if [ ! -d "$ort/node_modules/onnxruntime-node" ]; then
  mkdir -p "$ort"
  echo '{"private":true}' >"$ort/package.json"
  timeout 300 npm --prefix "$ort" install --ignore-scripts --no-audit --no-fund --loglevel error onnxruntime-node >"$ort/npm.log" 2>&1 ||
    skip "npm cannot install onnxruntime-node (no network? see $ort/npm.log)"
fi
NODE_PATH=$ort/node_modules node -e 'require("onnxruntime-node")' 2>"$ort/load.log" ||
  skip "onnxruntime-node does not load here (see $ort/load.log)"

. "$here/lib.sh"
shift 2
nets=$*
[ -n "$nets" ] || nets=$("$braid" models --json | grep -o '"name":"[a-z][a-z0-9_]*","params"' | cut -d'"' -f4)
for net in $nets; do
  before=$failures
  status 0 '' "$braid" export "$net" "$tmp/net.onnx"
  status 0 '' env NODE_PATH="$ort/node_modules" node "$here/ort_run.js" "$tmp/net.onnx" "$tmp"
  inputs=""
  for f in "$tmp"/in_*.npy; do inputs="$inputs -i $(basename "$f" .npy | sed 's/^in_//')=$f"; done
  # shellcheck disable=SC2086
  status 0 '' "$braid" run "$net" $inputs -o "$tmp/got_{name}.npy"
  for want in "$tmp"/want_*.npy; do
    status 0 '' "$bin/npy_compare" "$want" "${want/want_/got_}" 1e-3
  done
  [ "$failures" -eq "$before" ] && echo "$net: agrees" || echo "$net: DIFFERS"
  rm -f "$tmp"/*.npy "$tmp"/net.onnx*
done
finish
