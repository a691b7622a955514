#!/bin/sh
# po/compile.sh DIR [LANGUAGE...]: compiles the catalogues, all of them or these, to DIR/LANGUAGE/LC_MESSAGES/ldm.mo.
set -eu
to=$1
shift
po=$(dirname "$0")
[ "$#" -gt 0 ] || set -- $(cd "$po" && ls *.po | sed 's/\.po$//')
for language in "$@"; do
    mkdir -p "$to/$language/LC_MESSAGES"
    msgfmt -o "$to/$language/LC_MESSAGES/ldm.mo" "$po/$language.po"
done
