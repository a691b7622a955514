#!/bin/bash
# Installs the Debian packages that building, the demo and the tests need. Safe to run again; asks dpkg only when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/as-root.sh

build=(build-essential pkg-config gettext libgtk-4-dev libpam0g-dev)
# The server's side: sshd with PAM, one-time passwords, desktops.
server=(openssh-server openssh-client xauth libpam-oath oathtool x11-common x11-xserver-utils dbus dbus-x11 dbus-user-session
    openbox tint2 jgmenu xterm icewm xfce4-session xfce4-panel xfce4-settings xfwm4 xfconf)
# The client's side: X servers, and what looks at them as a user would.
client=(xvfb xserver-xephyr xserver-xorg-core xserver-xorg-video-dummy x11-utils x11-apps x11-xkb-utils xkb-data xdotool imagemagick
    at-spi2-core python3-pyatspi xvkbd fonts-dejavu-core fonts-droid-fallback
    tmux)
# Sound on both sides, and the user's files for local programs.
services=(pulseaudio pulseaudio-utils pipewire pipewire-bin pipewire-pulse wireplumber alsa-utils libasound2-plugins
    sshfs fuse3 libnss-systemd xdg-utils libglib2.0-bin)
system=(passwd util-linux mount procps iproute2)

wanted=("${build[@]}" "${server[@]}" "${client[@]}" "${services[@]}" "${system[@]}")
installed=" $(dpkg-query -W -f='${db:Status-Status}:${Package} ' "${wanted[@]}" 2>/dev/null || true)"
missing=()
for package in "${wanted[@]}"; do
    case $installed in
    *" installed:$package "*) ;;
    *) missing+=("$package") ;;
    esac
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
# The tests start their own sshd; a machine that had none must not get one that listens to the network.
case " ${missing[*]} " in
*" openssh-server "*)
    as_root install -d -m 0755 /etc/ssh
    as_root touch /etc/ssh/sshd_not_to_be_run
    echo "The system's own sshd stays off (/etc/ssh/sshd_not_to_be_run); remove that file if you want it."
    ;;
esac
as_root apt-get update -q
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" </dev/null
