#!/bin/sh
# Makes po/ldm.pot from the files in po/POTFILES.in, and takes what is new into the catalogues; with --check, only says
# whether they are up to date.
#
# This xgettext knows no Rust, but the calls it looks for are the same in C. The sentences of FailureKind::message stand
# without a call: they are taken from a copy in which every other line is blank, so that the line numbers stay right.
set -eu
cd "$(dirname "$0")/.."
out=po/ldm.pot
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

copy() { mkdir -p "$work/$(dirname "$1")" && cat >"$work/$1"; }

# Lifetimes and characters look like unfinished C strings; documentation is no text for users.
c_like() { sed "s|//[/!].*||; s/'\(\\\\.\|[^'\\\\]\)'/0/g; s/\([&<+] *\)'[a-z_]*/\1/g"; }

grep -v '^#' po/POTFILES.in | while read -r file; do
    case $file in
    ldm-protocol/src/failure.rs) sed '/fn message(self)/,/^    }$/!s/.*//; s/^\([^"]*\)\("[^"]*"\)/\1gettext(\2)/' "$file" ;;
    *) cat "$file" ;;
    esac | c_like | copy "$file"
    echo "$file"
done >"$work/files"

(cd "$work" && xgettext --language=C --from-code=UTF-8 --keyword --keyword=gettext --add-comments=Translators: \
    --no-wrap --sort-by-file --add-location=file --package-name=ldm --copyright-holder='The LDM authors' --foreign-user \
    --files-from=files --output=ldm.pot)
# The day it was made would make every run a change.
sed -i '/^"POT-Creation-Date:/d' "$work/ldm.pot"

if [ "${1-}" = --check ]; then
    cmp -s "$work/ldm.pot" "$out" || { echo "$out is out of date: run po/extract.sh" >&2; exit 1; }
else
    mv "$work/ldm.pot" "$out"
fi

for catalogue in po/*.po; do
    msgmerge --quiet --no-fuzzy-matching --no-wrap --add-location=file --output-file="$work/new.po" "$catalogue" "$out"
    if [ "${1-}" = --check ]; then
        cmp -s "$work/new.po" "$catalogue" || { echo "$catalogue is behind $out: run po/extract.sh" >&2; exit 1; }
    else
        mv "$work/new.po" "$catalogue"
    fi
done
