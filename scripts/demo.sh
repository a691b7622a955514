#!/bin/bash
# The main job on this machine alone: a temporary user, a private sshd, a seat. See tests/src/bin/demo.rs.
# Whatever happens, also Ctrl-C, everything it made is removed again.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" != --as-root ]; then
    cargo build --release --workspace --locked
    demo=${CARGO_TARGET_DIR:-target}/release/ldm-demo
    if [ "$(id -u)" -eq 0 ]; then
        exec "$0" --as-root "$demo"
    fi
    echo "Not root: the demo makes a temporary user and starts its own sshd on 127.0.0.1, so it runs through sudo."
    if [ -n "${DISPLAY:-}" ]; then
        export XAUTHORITY=${XAUTHORITY:-$HOME/.Xauthority}
    fi
    exec sudo --preserve-env=DISPLAY,XAUTHORITY "$0" --as-root "$demo"
fi

demo=$2
pid=
clean() {
    trap - EXIT INT TERM HUP
    if [ -n "$pid" ]; then
        # Its children die with it; --sweep removes what they cannot.
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    fi
    "$demo" --sweep
    if [ -n "${SUDO_UID:-}" ] && [ -d demo-out ]; then
        chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" demo-out
    fi
}
trap 'clean; exit 130' INT
trap 'clean; exit 143' TERM HUP
trap clean EXIT

# In the background, so that a signal is acted on at once; the shell would make it ignore Ctrl-C there.
env --default-signal=INT "$demo" demo-out </dev/null &
pid=$!
status=0
wait "$pid" || status=$?
pid=
exit "$status"
