# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What scripts with a root file system of their own share (oracle/lib.sh, vm/lib.sh).  Sourced.

# Where large things that were made once are kept.
caches=${OCTANS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/octans}

die() {
	echo "$(basename "$0"): $*" >&2
	exit 1
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		command -v sudo >/dev/null || die "run it as root or install sudo"
		sudo "$@"
	fi
}

# Debian's mirror, as this machine has it.
debian_mirror() {
	{
		cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk '/^URIs:/{print $2}'
		cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
			awk '/^deb /{for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) {print $i; break}}'
	} | grep -E '/debian/?$' | grep -v security | head -n 1
}
