#!/bin/bash
# Builds everything as it is installed and measures it beside ssh -Y. Arguments go to ldm-bench (--quick, login, drawing, …).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/as-root.sh

cargo build --release --workspace --locked
mkdir -p bench-out
# It makes a user and starts a private sshd on 127.0.0.1, and removes both.
as_root target/release/ldm-bench --out bench-out/bench.json "$@"
as_root chown --reference=bench-out bench-out/bench.json
