#!/bin/sh
# One script, two everyday commands (and the parts they are made of). Each installs what is missing.
#   ./braid.sh demo [ARGS]   build (release) and run `braid demo ARGS`
#   ./braid.sh test          build (release) and run every test
#   ./braid.sh deps          only install the packages (Debian 12, apt)
#   ./braid.sh build [PRESET]
#   ./braid.sh aarch64       cross-build for aarch64 and test that under qemu (docs/aarch64.md)
set -eu
cd "$(dirname "$0")"

packages="build-essential cmake ninja-build pkg-config
  libopenblas-dev libzmq3-dev libsodium-dev libhwloc-dev libcriterion-dev
  libprotobuf-c-dev protobuf-c-compiler libonnx-dev libonnx-testdata
  libjansson-dev libmicrohttpd-dev libcyaml-dev libyaml-dev libstb-dev libgraphviz-dev libglpk-dev gnuplot-nox procps"

# For aarch64; the arm64 libraries are no packages of this machine (cmake/aarch64-sysroot.sh).
cross_packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"

deps() {
  missing=""
  for p in $packages "$@"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
  done
  [ -z "$missing" ] && return 0
  echo "braid.sh: installing$missing" >&2
  sudo=""
  [ "$(id -u)" -eq 0 ] || sudo="sudo"
  $sudo apt-get update -q
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends $missing
}

build() {
  cmake --preset "$1" >/dev/null
  cmake --build --preset "$1"
}

aarch64() {
  # shellcheck disable=SC2086
  deps $cross_packages
  [ -d "$(cmake/aarch64-sysroot.sh --where)/usr/include" ] || cmake/aarch64-sysroot.sh
  build release # the other end of a session
  build aarch64
  ctest --preset aarch64
}

case "${1:-help}" in
deps) deps ;;
build) deps; build "${2:-release}" ;;
aarch64) aarch64 ;;
demo) shift; deps; build release; exec build/release/bin/braid demo "$@" ;;
test)
  deps
  build release
  exec ctest --test-dir build/release --verbose --output-on-failure --parallel "$(nproc)" ;;
*) sed -n '2,7s/^# \{0,1\}//p' "$0"; [ "${1:-help}" = help ] || exit 2 ;;
esac
