#!/usr/bin/env bash
# Brings other rule engines to be compared with, and says where they are: a word and a path on each line.
# Never part of a build: what cannot be had here is missing from what it says, with one line on stderr that says why.
#
#   scripts/peers.sh            Debian's libmodsecurity, and the one in the wheel `libmodsecurity`
#   scripts/peers.sh wheel      only that one
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"

# As on PyPI; built by its authors from the newest release of ModSecurity 3.
wheel=libmodsecurity==3.0.15.post2

which="${*:-debian wheel}"
say() { printf 'peers: %s\n' "$*" >&2; }
target="${CARGO_TARGET_DIR:-target}"
case "$target" in /*) ;; *) target="$PWD/$target" ;; esac
place="$target/peers"
mkdir -p "$place"

# One driver opens either library: nothing of them is needed to compile it.
driver="$place/libmodsecurity" source=proof/peers/libmodsecurity.c
if [ ! -x "$driver" ] || [ "$source" -nt "$driver" ]; then
    cc -std=c11 -O2 -Wall -Wextra -o "$driver.new" "$source" -ldl || { say "cc could not compile $source"; exit 1; }
    mv "$driver.new" "$driver"
fi
echo "driver $driver"

debian() {
    local found package
    found="$(find /usr/lib /usr/local/lib -name 'libmodsecurity.so.3' -print -quit 2>/dev/null)"
    if [ -z "$found" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        for package in libmodsecurity3t64 libmodsecurity3; do
            say "installing from Debian: $package"
            { [ -n "$(find /var/lib/apt/lists -name '*Packages*' -print -quit 2>/dev/null)" ] || apt-get update -qq; } >/dev/null 2>&1 || true
            DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$package" \
                >"$place/apt.log" 2>&1 </dev/null && break
        done
        found="$(find /usr/lib -name 'libmodsecurity.so.3' -print -quit 2>/dev/null)"
    fi
    if [ -n "$found" ]; then echo "debian $found"; else say "skipped: Debian's libmodsecurity3 is not here (apt-get install libmodsecurity3)"; fi
}

from_wheel() {
    local stamp="$place/.wheel" found
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wheel" ]; then
        say "installing into target/peers: $wheel"
        rm -rf "$place/venv" "$place/wheel"
        if python3 -m venv "$place/venv" >"$place/pip.log" 2>&1 &&
            "$place/venv/bin/pip" --disable-pip-version-check install -q --no-deps --only-binary :all: \
                --target "$place/wheel" "$wheel" >>"$place/pip.log" 2>&1; then
            echo "$wheel" >"$stamp"
        fi
    fi
    found="$(find "$place/wheel/libmodsecurity.libs" -name 'libmodsecurity-*.so.*' -print -quit 2>/dev/null || true)"
    if [ -n "$found" ]; then echo "wheel $found"; else say "skipped: the wheel $wheel cannot be installed here (${place##*/}/pip.log says why)"; fi
}

for one in $which; do
    case "$one" in
    debian) debian ;;
    wheel) from_wheel ;;
    *) say "there is no such peer: $one"; exit 2 ;;
    esac
done
