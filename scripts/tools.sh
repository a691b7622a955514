#!/bin/bash
# Two greetd greeters that are not ours, for the tests, under target/tools: agreety out of Debian's greetd (unpacked only:
# installing it would make it this machine's display manager) and tuigreet.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/as-root.sh

tuigreet=0.10.2
tools=$PWD/target/tools
mkdir -p "$tools/bin"

if [ ! -x "$tools/bin/agreety" ]; then
    unpack=$(mktemp -d)
    trap 'rm -rf "$unpack"' EXIT
    chmod 0755 "$unpack"
    fetch() { (cd "$unpack" && apt-get download -q greetd); }
    # A machine on which nothing was installed lately may have no package lists.
    fetch || { as_root apt-get update -q && fetch; }
    (cd "$unpack" && dpkg-deb -x greetd_*.deb .)
    install -m 0755 "$unpack/usr/sbin/agreety" "$tools/bin/agreety"
fi
if [ ! -x "$tools/bin/tuigreet" ]; then
    cargo install tuigreet --version "$tuigreet" --root "$tools" --target-dir "$tools/build" --locked --quiet
    rm -rf "$tools/build"
fi
