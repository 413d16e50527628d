# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the scripts of the VM harness share: where things are.  Sourced.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${OCTANS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/octans}/vm
root=$cache/root

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

# The kernel release in the root that begins with 6.12 or 7.3.
release() {
	local r
	r=$(cd "$root/lib/modules" 2>/dev/null && ls -d "$1".* 2>/dev/null | tail -n 1)
	[ -n "$r" ] || die "there is no kernel $1 in $root; run tests/vm/mkroot"
	echo "$r"
}

module() {	# RELEASE: where its octans.ko is built
	echo "$top/build/kmod-$1"
}

# The host's own QEMU if it knows vfio-user, else that of the root, run with its libraries.
qemu() {
	local m
	if [ -z "${OCTANS_ROOT_QEMU-}" ] && command -v qemu-system-x86_64 >/dev/null &&
		qemu-system-x86_64 -device help 2>/dev/null | grep -q '"vfio-user-pci"'; then
		exec qemu-system-x86_64 "$@"
	fi
	m=x86_64-linux-gnu
	QEMU_MODULE_DIR=$root/usr/lib/$m/qemu exec "$root/lib64/ld-linux-x86-64.so.2" \
		--library-path "$root/usr/lib/$m:$root/usr/lib/$m/pulseaudio" \
		"$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" \
		-L "$root/usr/share/seabios" "$@"
}

# "kvm" if it really works here, else "tcg".
accelerator() {
	if [ -w /dev/kvm ] && (qemu -accel kvm -machine q35 -display none -nodefaults -S \
		-monitor stdio <<<quit >/dev/null 2>&1); then
		echo kvm
	else
		echo tcg
	fi
}
