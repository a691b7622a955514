#!/bin/bash
# Formatting, lints, unit tests, then the lab: scenarios on a real sshd with PAM and real X servers, which need root.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/as-root.sh

make lint
cargo build --workspace --locked
scripts/tools.sh
cargo test --workspace --exclude ldm-tests --locked "$@"

if [ "$(id -u)" -ne 0 ]; then
    echo "Not root: the lab makes temporary users and starts its own sshd, so its tests run through sudo."
    host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
    export "CARGO_TARGET_${host}_RUNNER=sudo --preserve-env"
fi
# Scenarios mostly wait for each other's processes, so more of them than processors run at once. Of the whole workspace, because
# libraries would be built with other features for that package alone, all of them once more.
status=0
cargo test --workspace --test lab --bin ldm-gallery --locked "$@" -- --test-threads "${LDM_TEST_THREADS:-4}" || status=$?
as_root "${CARGO_TARGET_DIR:-target}/debug/ldm-demo" --sweep
exit "$status"
