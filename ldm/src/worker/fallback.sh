# What LDM runs on a server that has no ldm-server-helper, as the user who logged in: POSIX sh, and nothing that is not on
# every system. Standard input brings this script, then a command and its arguments, one a line; its end ends the session.
# What is said to LDM starts with "LDM ", because a shell's start-up files may say something too.

say() { printf "LDM %s\n" "$*"; }

# Sets $trimmed to $1 without the blanks around it.
trim() {
    trimmed=${1#"${1%%[! 	]*}"}
    trimmed=${trimmed%"${trimmed##*[! 	]}"}
}

# Reads the .desktop file $1; fails if it offers no session.
entry() {
    group= name= exec= try= hidden= desktop=
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
            "#"*) continue ;;
            "[Desktop Entry]"*) group=1; continue ;;
            "["*) group=; continue ;;
            *=*) [ -n "$group" ] || continue ;;
            *) continue ;;
        esac
        trim "${line%%=*}"; key=$trimmed
        trim "${line#*=}"
        case $key in
            Name) name=$trimmed ;;
            Exec) exec=$trimmed ;;
            TryExec) try=$trimmed ;;
            DesktopNames) desktop=$trimmed ;;
            Hidden | NoDisplay) case $trimmed in true | 1) hidden=1 ;; esac ;;
        esac
    done <"$1"
    [ -z "$hidden" ] && [ -n "$name" ] && [ -n "$exec" ] || return 1
    [ -z "$try" ] || command -v "$try" >/dev/null 2>&1
}

# Who this is and all their groups, or nothing. Names of groups may hold blanks: id(1) tells them apart only as long as there are
# as many words as numbers.
who() {
    uid=$(id -u) && name=$(id -un) && gids=$(id -G) || return
    say "user $uid/$name"
    names=$(id -Gn)
    if [ "$(echo "$gids" | wc -w)" -eq "$(echo "$names" | wc -w)" ]; then
        for gid in $gids; do
            say "group $gid/${names%% *}"
            names=${names#* }
        done
    else
        for gid in $gids; do
            group=$(getent group "$gid") || { say "group unknown"; return; }
            say "group $gid/${group%%:*}"
        done
    fi
}

list() {
    who 2>/dev/null
    seen=/
    for dir in $dirs; do
        for file in "$dir"/*.desktop; do
            [ -f "$file" ] && [ -r "$file" ] || continue
            id=${file##*/}; id=${id%.desktop}
            # The first file of a name counts, also when it hides the session.
            case $seen in *"/$id/"*) continue ;; esac
            seen=$seen$id/
            if entry "$file"; then say "session $id/$name"; fi
        done
    done
    say "listed"
}

# Signals all of the session: its process group, and whoever left it but still has its mark.
signal() {
    kill -s "$1" "-$job" 2>/dev/null
    for file in $(marked); do
        file=${file#/proc/}
        kill -s "$1" "${file%/environ}" 2>/dev/null
    done
}
marked() { grep -ls "$mark" /proc/[0-9]*/environ 2>/dev/null; }
alive() { kill -s 0 "-$job" 2>/dev/null || [ -n "$(marked)" ]; }

start() {
    IFS= read -r id; IFS= read -r lang; IFS= read -r xsession
    IFS= read -r LTSP_CLIENT; IFS= read -r LTSP_CLIENT_HOSTNAME; IFS= read -r LTSP_CLIENT_MAC; IFS= read -r sound
    # NAME=VALUE, each checked by LDM: no name of this script's own, nothing but letters in capitals, digits and _ in it.
    while IFS= read -r variable && [ -n "$variable" ]; do export "$variable"; done
    # Made for the helper, which is not there.
    [ -z "$sound" ] || rm -f -- "$sound"
    [ -n "$DISPLAY" ] || { say "refused no_display"; return; }
    command=
    if [ -n "$id" ]; then
        found=
        for dir in $dirs; do
            [ -f "$dir/$id.desktop" ] || continue
            if entry "$dir/$id.desktop"; then found=1; fi
            break
        done
        [ -n "$found" ] || { say "refused gone"; return; }
        command=$(printf "%s\n" "$exec" | sed -e "s/%[A-Za-z]//g" -e "s/%%/%/g")
        program=${command%%[ 	]*}
        command -v "$program" >/dev/null 2>&1 || { say "refused not_executable $program"; return; }
        DESKTOP_SESSION=$id XDG_SESSION_DESKTOP=$id GDMSESSION=$id
        export DESKTOP_SESSION XDG_SESSION_DESKTOP GDMSESSION
        if [ -n "$desktop" ]; then
            XDG_CURRENT_DESKTOP=$(printf "%s\n" "$desktop" | sed -e "s/;*\$//" -e "s/;/:/g")
            export XDG_CURRENT_DESKTOP
        fi
    fi
    wrapper=
    for file in "$xsession" /etc/X11/Xsession /etc/X11/xinit/Xsession /etc/X11/xdm/Xsession; do
        if [ -n "$file" ] && [ -f "$file" ] && [ -x "$file" ]; then wrapper=$file; break; fi
    done
    # Xsession takes exactly one argument, the whole command; none is the default session.
    if [ -n "$wrapper" ]; then
        set -- "$wrapper"
        if [ -n "$command" ]; then set -- "$wrapper" "$command"; fi
    elif [ -n "$command" ]; then
        set -- /bin/sh -c "exec $command"
    else
        say "refused failed no Xsession script"; return
    fi
    XDG_SESSION_TYPE=x11 LDM_SESSION_LANG=$lang
    export XDG_SESSION_TYPE LDM_SESSION_LANG LTSP_CLIENT LTSP_CLIENT_HOSTNAME LTSP_CLIENT_MAC

    errors=$HOME/.xsession-errors
    umask=$(umask); umask 077
    { [ ! -L "$errors" ] && : >>"$errors"; } 2>/dev/null || errors=/dev/null
    umask "$umask"
    before=$(wc -c <"$errors")
    mark=LDM_SESSION_MARK=$$.$(date +%s)
    began=$(date +%s)
    setsid=
    if command -v setsid >/dev/null 2>&1; then setsid=setsid; fi
    cd "$HOME" || cd /
    # The profile is read by the session alone: one that ends its shell must not end this one.
    env "$mark" $setsid /bin/sh -c "
        if [ -f /etc/profile ]; then . /etc/profile; fi
        if [ -f \"\$HOME/.profile\" ]; then . \"\$HOME/.profile\"; fi
        if [ -n \"\$LDM_SESSION_LANG\" ]; then LANG=\$LDM_SESSION_LANG; export LANG; fi
        unset LDM_SESSION_LANG
        exec \"\$@\"" sh "$@" </dev/null >>"$errors" 2>&1 &
    job=$!
    say "started ${id:-default}"
    exec 3<&0
    (
        exec >/dev/null 2>&1
        while read -r line; do :; done
        kill -s TERM "-$job" || kill -s TERM "$job"
        sleep 3
        kill -s KILL "-$job" || kill -s KILL "$job"
    ) <&3 &
    watcher=$!
    wait "$job"; status=$?
    seconds=$(($(date +%s) - began))
    kill "$watcher" 2>/dev/null
    signal TERM
    tries=0
    while alive && [ $tries -lt 15 ]; do
        sleep 0.2 2>/dev/null || sleep 1
        tries=$((tries + 1))
        # A second one wakes what sleeps inside its handler of the first (dbus-launch does, for 3 s).
        if [ $tries -eq 3 ]; then signal TERM; fi
    done
    signal KILL
    if [ $seconds -lt 5 ] && [ "$errors" != /dev/null ]; then
        tail -c "+$((before + 1))" "$errors" | tail -n 5 | while IFS= read -r line; do say "words $line"; done
    fi
    say "ended $status $seconds"
}

dirs="/usr/local/share/xsessions /usr/share/xsessions"
IFS= read -r what
case $what in
    list) list ;;
    start) start ;;
esac
