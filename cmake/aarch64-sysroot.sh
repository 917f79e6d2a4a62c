#!/bin/sh
# The arm64 libraries that Braid is linked with, in a folder of their own: Debian's packages, unpacked, not installed.
#   cmake/aarch64-sysroot.sh [DIR]   fills DIR (default: $BRAID_AARCH64_SYSROOT, or ~/.cache/braid/aarch64-sysroot)
#   cmake/aarch64-sysroot.sh --where prints the default
# Not Debian's multiarch: some -dev packages (of Criterion's dependencies, of graphviz) cannot lie beside their amd64
# twins, and the others must have the same version, so apt would remove or upgrade what the machine builds with. The
# machine's own apt sources are asked, over an apt state of its own: needs no root and changes nothing outside of DIR.
set -eu

dir=${BRAID_AARCH64_SYSROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/braid/aarch64-sysroot}
[ "${1:-}" != --where ] || { echo "$dir"; exit 0; }
dir=${1:-$dir}

# Those of braid.sh that are libraries.
packages="libc6-dev libopenblas-dev libzmq3-dev libsodium-dev libhwloc-dev libcriterion-dev libprotobuf-c-dev
  libonnx-dev libjansson-dev libmicrohttpd-dev libcyaml-dev libyaml-dev libgraphviz-dev libglpk-dev libstb-dev"

new=$dir.new
rm -rf "$new"
mkdir -p "$new/apt/state/lists/partial" "$new/apt/cache/archives/partial"
new=$(cd "$new" && pwd)
: >"$new/apt/status"
apt() {
  apt-get -q -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State="$new/apt/state" \
    -o Dir::State::status="$new/apt/status" -o Dir::Cache="$new/apt/cache" -o APT::Sandbox::User="" "$@"
}
apt update
# shellcheck disable=SC2086
apt install --yes --no-install-recommends --download-only $packages
for deb in "$new"/apt/cache/archives/*.deb; do
  dpkg-deb -x "$deb" "$new"
done
rm -rf "$new/apt"

# Links that packages make when they are installed. Absolute ones would leave the folder.
lib=usr/lib/aarch64-linux-gnu
for file in openblas-pthread/libopenblas.so openblas-pthread/libopenblas.so.0; do
  ln -sf "$file" "$new/$lib/"
done
ln -sf ../openblas-pthread/pkgconfig/openblas.pc "$new/$lib/pkgconfig/"
find "$new" -type l -lname '/*' | while read -r link; do
  ln -sfnr "$new$(readlink "$link")" "$link"
done

rm -rf "$new/usr/share/doc" "$new/usr/share/man" "$new/usr/share/locale" "$dir"
mv "$new" "$dir"
echo "aarch64-sysroot.sh: $dir"
