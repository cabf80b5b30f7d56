#!/usr/bin/env bash
# The reference pages are generated from the source; a test of the crate that owns each compares them with what is
# committed. UPDATE=1 writes them instead.
set -euo pipefail
cd "$(dirname "$0")/.."
# The tests look whether it is set at all.
[ -n "${UPDATE:-}" ] || unset UPDATE
exec cargo test --quiet --locked -p portcullis-config -p portcullis --no-fail-fast
