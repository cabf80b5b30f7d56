#!/usr/bin/env bash
# Makes docs/console.png: plays an attack in the demo by the button of its own console, and takes a picture of what is seen.
set -euo pipefail
cd "$(dirname "$0")/.."
binary="$1"
said="$(mktemp)"
"$binary" demo --http 0 --https 0 --admin 0 --console 0 --database 0 --supporters 120 --for 170s >"$said" 2>/dev/null &
demo=$!
trap 'kill $demo 2>/dev/null || true; rm -f "$said"' EXIT
for _ in $(seq 100); do
    link="$(grep -o 'http://[0-9.:]*/welcome#.*' "$said" || true)"
    [ -z "$link" ] || break
    sleep 0.3
done
node console/scripts/picture.mjs "$link" docs/console.png
echo "docs/console.png is what a newcomer sees"
