#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The kernel tests, cross-compiled for aarch64 and run by qemu: builds what they need and no more.
#   test_aarch64.sh SOURCE_DIR BUILD_DIR     BUILD_DIR is its own, and stays for the next time
# Installs nothing: without the cross compiler, the arm64 libraries or qemu it is skipped (./braid.sh aarch64 installs).
set -u
source=$1 build=$2
skip() {
  echo "SKIPPED: $* (./braid.sh aarch64 installs what is needed)"
  exit 77
}
for program in aarch64-linux-gnu-gcc qemu-aarch64 ninja; do
  command -v $program >/dev/null || skip "$program is not installed"
done
sysroot=$("$source/cmake/aarch64-sysroot.sh" --where)
[ -d "$sysroot/usr/include" ] || skip "no arm64 libraries in $sysroot"

tests="kernels_ref kernels_math kernels_compare"
mkdir -p "$build"
# shellcheck disable=SC2086,SC2046
cmake -S "$source" -B "$build" -G Ninja --toolchain "$source/cmake/aarch64.cmake" -DCMAKE_BUILD_TYPE=Release \
  -DBRAID_BENCH=OFF >"$build/configure.log" 2>&1 &&
  cmake --build "$build" --target $(printf 'test_%s ' $tests) >"$build/build.log" 2>&1 ||
  { tail -n 30 "$build/configure.log" "$build/build.log"; exit 1; }
BRAID_CASES=${BRAID_CASES:-40} ctest --test-dir "$build" --output-on-failure -R "^(${tests// /|})\$"
