#!/bin/bash
# Builds everything as it is installed and measures it beside ssh -Y. Arguments go to ldm-bench (--quick, login, drawing, …).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/as-root.sh

# The greeter's peer is in Debian, but nothing that building or testing needs: got here if it can be had, else left out.
case " $* " in
*" greeter "* | "  " | " --quick ")
    if ! [ -x /usr/sbin/lightdm-gtk-greeter ]; then
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends lightdm-gtk-greeter </dev/null ||
            echo 'lightdm-gtk-greeter cannot be installed; the greeter is measured without it.' >&2
    fi
    ;;
esac

cargo build --release --workspace --locked
mkdir -p bench-out
# It makes a user and starts a private sshd on 127.0.0.1, and removes both.
as_root target/release/ldm-bench --out bench-out/bench.json "$@"
as_root chown --reference=bench-out bench-out/bench.json
