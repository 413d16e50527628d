# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Where the oracle's root file system is, and how programs run in it.  Sourced.

. "$(dirname "${BASH_SOURCE[0]}")/../rootfs.sh"
cache=$caches/oracle
root=$cache/sid

# in_root DIR COMMAND...: runs in the root, with DIR of this machine as its /octans and as the
# working directory.  The mounts live in a namespace that ends with the command, so that
# nothing has to be cleaned up, whatever happens to it.
in_root() {
	local dir
	dir=$(cd "$1" && pwd) || return 1
	shift
	# shellcheck disable=SC2016
	as_root unshare --mount --propagation private sh -c '
		root=$1 dir=$2
		shift 2
		mount --bind "$dir" "$root/octans" && mount --rbind /dev "$root/dev" &&
			mount --rbind /proc "$root/proc" || exit 125
		exec chroot "$root" /usr/bin/env -i PATH=/usr/bin:/usr/sbin:/bin:/sbin \
			HOME=/root LC_ALL=C.UTF-8 sh -c "cd /octans && exec \"\$@\"" sh "$@"
	' sh "$root" "$dir" "$@"
}

need_root() {
	[ -e "$cache/.done-$version" ] ||
		die "there is no root file system with llama.cpp; run tests/oracle/mkroot"
}

version=1	# counts up when mkroot makes something else
