#!/bin/sh
# Installs into a scratch prefix and builds a program against it, once through pkg-config and once through the CMake
# package. Usage: test_install.sh BUILD_DIR SOURCE_DIR CC
set -eu
build=$1 source=$2 cc=$3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cmake --install "$build" --prefix "$scratch/usr" >/dev/null
# The programs and their man pages; the demo finds the emulator beside braid.
"$scratch/usr/bin/braid" --version
test -x "$scratch/usr/bin/braid-linkemu"
test -s "$(find "$scratch/usr" -name braid-run.1)"
lib=$(dirname "$(find "$scratch/usr" -name braid.pc)")
export PKG_CONFIG_PATH="$lib"
# The .pc file names the prefix of configure time; this install went elsewhere.
set -- --define-variable=prefix="$scratch/usr"
# shellcheck disable=SC2046
"$cc" -std=c11 -Wall -Wextra -Werror "$source/tests/integration/install/consumer.c" -o "$scratch/by_pkgconfig" \
  $(pkg-config "$@" --cflags --libs braid)
LD_LIBRARY_PATH="$lib/.." "$scratch/by_pkgconfig"
cmake -S "$source/tests/integration/install" -B "$scratch/build" -DCMAKE_PREFIX_PATH="$scratch/usr" -DCMAKE_C_COMPILER="$cc" >/dev/null
cmake --build "$scratch/build" >/dev/null
LD_LIBRARY_PATH="$lib/.." "$scratch/build/consumer"
