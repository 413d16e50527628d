# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Where the root with Prometheus, podman, crun and Slurm is.  Sourced.

. "$(dirname "${BASH_SOURCE[0]}")/../vm/lib.sh"
cache=$caches/hosts
hosts_root=$cache/root
version=1	# counts up when mkroot makes something else

# in_hosts_root COMMAND...: runs in the root, with this machine's $PWD as its /octans, and $work, if set, as its
# /tmp.  The mounts live in a namespace that ends with the command.
in_hosts_root() {
	# shellcheck disable=SC2016
	as_root unshare --mount --propagation private sh -c '
		root=$1 top=$2 work=$3
		shift 3
		mount --bind "$top" "$root/octans" && mount --rbind /dev "$root/dev" && mount --rbind /proc "$root/proc" &&
			mount --bind "${work:-/tmp}" "$root/tmp" || exit 125
		exec chroot "$root" /usr/bin/env -i PATH=/usr/bin:/usr/sbin:/bin:/sbin HOME=/root LC_ALL=C.UTF-8 "$@"
	' sh "$hosts_root" "$top" "${work-}" "$@"
}

need_hosts_root() {
	[ -e "$cache/.done-$version-packages" ] ||
		die "there is no root file system with Prometheus and podman; run tests/hosts/mkroot"
}
