#!/bin/sh
# Says what is wrong with the catalogues: behind the sources, not complete, or with other placeholders than the English text.
set -eu
cd "$(dirname "$0")/.."
po/extract.sh --check
work=$(mktemp)
trap 'rm -f "$work"' EXIT

status=0
wrong() { echo "$1: $2" >&2; status=1; }

# What a user would read in English in every language. That every text is marked is checked by ldm/tests/marked.rs.
grep -rlE '\bgettext\(' --include='*.rs' ldm*/src | while read -r file; do
    grep -qxF "$file" po/POTFILES.in || echo "$file is not in po/POTFILES.in"
done >"$work"
[ ! -s "$work" ] || wrong ldm-greeter "$(cat "$work")"

# Of `msgattrib --no-wrap`: every text stands in one line.
compare='
    function placeholders(text,  all) {
        all = ""
        while (match(text, /\{[a-z]+\}/)) {
            all = all substr(text, RSTART, RLENGTH) "\n"
            text = substr(text, RSTART + RLENGTH)
        }
        return all
    }
    function same(a, b,  i, n, parts, count) {
        n = split(a, parts, "\n"); for (i = 1; i <= n; i++) count[parts[i]]++
        n = split(b, parts, "\n"); for (i = 1; i <= n; i++) count[parts[i]]--
        for (i in count) if (count[i] != 0) return 0
        return 1
    }
    /^msgid / { id = substr($0, 7) }
    /^msgstr / {
        text = substr($0, 8)
        if (!same(placeholders(id), placeholders(text))) print "other placeholders: " text
        if (id ~ /%/ && (text !~ /%H/ || text !~ /%M/ || text ~ /%($|[^AeBYHMdm-]|-[^edmHM])/)) print "no date and time: " text
        if (id == "\"default:LTR\"" && text !~ /^"default:(LTR|RTL)"$/) print "no direction: " text
    }'

for catalogue in po/*.po; do
    language=$(basename "$catalogue" .po)
    msgfmt --check --output-file=/dev/null "$catalogue" || status=1
    grep -q "^\"Language: $language\\\\n\"\$" "$catalogue" || wrong "$catalogue" "its Language is not $language"
    grep -q '^"Content-Type: text/plain; charset=UTF-8\\n"$' "$catalogue" || wrong "$catalogue" "it is not UTF-8"
    for kind in untranslated only-fuzzy only-obsolete; do
        left=$(msgattrib --no-wrap --"$kind" "$catalogue" | grep -E '^(#~ )?msgid ".' || true)
        [ -z "$left" ] || wrong "$catalogue" "$kind: $left"
    done
    found=$(msgattrib --no-wrap "$catalogue" | awk "$compare")
    [ -z "$found" ] || wrong "$catalogue" "$found"
done
exit "$status"
