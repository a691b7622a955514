# Sourced by the other scripts: `as_root COMMAND…`, which says once what sudo is for.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
        return
    fi
    if ! command -v sudo >/dev/null; then
        echo "This needs root: $*. There is no sudo here; run it as root." >&2
        return 1
    fi
    if [ -z "${LDM_SAID_SUDO:-}" ]; then
        echo "Not root: using sudo ${1:+for: $*}" >&2
        LDM_SAID_SUDO=1
    fi
    sudo "$@"
}
