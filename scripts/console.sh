#!/usr/bin/env bash
# Builds the console's pages into console/dist, from where the next build of the gate takes them; silent when they are those of the
# sources that lie here. Without Node the gate is built without pages, and says so where they would be.
#
#   scripts/console.sh          the pages
#   scripts/console.sh test     the pages, and every check of them
#   scripts/console.sh walk     the pages, walked through in Chromium as people do
set -euo pipefail
cd "$(dirname "$0")/../console"
say() { printf 'console: %s\n' "$*" >&2; }

# Vite's own bound. Debian 12 has an older one, and npm has them all.
fits() { node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null; }
own="$PWD/../target/node-runtime"
case "$(uname -m)" in x86_64) arch=x64 ;; aarch64) arch=arm64 ;; *) arch=none ;; esac
if ! fits && command -v npm >/dev/null && [ $arch != none ]; then
    PATH="$own/node_modules/node-linux-$arch/bin:$PATH"
    if ! fits; then
        say "installing Node 22 into target/node-runtime"
        npm install --prefix "$own" --ignore-scripts --no-audit --no-fund --silent "node-linux-$arch@22" >/dev/null || true
        hash -r
    fi
fi
if ! fits; then
    say "there is no Node of at least 20.19: the gate is built without its pages"
    [ -z "${CI:-}" ]
    exit
fi
# What lies in dist is of these sources, whoever changed which when.
now="$(git ls-files -z --cached --others --exclude-standard . | sort -z | xargs -0 sha256sum | sha256sum)"
if [ ! -d node_modules ] || ! cmp -s package-lock.json node_modules/.installed; then
    say "installing what its lock names"
    npm ci --ignore-scripts --no-audit --no-fund --silent >/dev/null
    cp package-lock.json node_modules/.installed
fi
if [ "${1:-}" = test ] || [ "$now" != "$(cat dist/.sources 2>/dev/null)" ]; then
    [ "${1:-}" != test ] || npm run --silent check
    npm run --silent build >dist.log 2>&1 || { cat dist.log >&2; say "it could not be built"; exit 1; }
    rm -f dist.log
    printf '%s\n' "$now" >dist/.sources
fi
if [ "${1:-}" = test ]; then
    npm test --silent
    npm run --silent budget
fi
[ "${1:-}" != walk ] || node scripts/walk.mjs
