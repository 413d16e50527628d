# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the scripts of the VM harness share: where things are.  Sourced.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$top/tests/rootfs.sh"
cache=$caches/vm
root=$cache/root

debug_cache() {	# VERSION: where tests/vm/debug-kernel keeps what it builds
	echo "$caches/debug-$1"
}

# The root that holds a kernel, its modules and what to build others with.
kernel_root() {	# 6.12|7.3|debug
	case $1 in
	debug) echo "$(debug_cache 7.3)/root" ;;
	*) echo "$root" ;;
	esac
}

# The kernel release that 6.12, 7.3 or debug stands for.
release() {
	local r where
	where=$(kernel_root "$1")
	r=$(cd "$where/lib/modules" 2>/dev/null && ls -d "${1/debug/7.3}".* 2>/dev/null | tail -n 1)
	[ -n "$r" ] || die "there is no kernel $1 in $where; run tests/vm/$(maker "$1")"
	echo "$r"
}

maker() {
	case $1 in
	debug) echo debug-kernel ;;
	*) echo mkroot ;;
	esac
}

module() {	# RELEASE: where its octans.ko is built
	echo "$top/build/kmod-$1"
}

# A program of the root with the root's libraries, without changing root: the words before its
# arguments.
loader=("$root/lib64/ld-linux-x86-64.so.2" --library-path
	"$root/usr/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu/pulseaudio")

# QEMU=(...): the host's own if it knows vfio-user, else the root's.  A command, not a function:
# what is started in the background must be QEMU itself, to be killed.
find_qemu() {
	if [ -z "${OCTANS_ROOT_QEMU-}" ] && command -v qemu-system-x86_64 >/dev/null &&
		qemu-system-x86_64 -device help 2>/dev/null | grep -q '"vfio-user-pci"'; then
		QEMU=(qemu-system-x86_64)
	else
		QEMU=(env "QEMU_MODULE_DIR=$root/usr/lib/x86_64-linux-gnu/qemu" "${loader[@]}"
			"$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu"
			-L "$root/usr/share/seabios")
	fi
}

# "kvm" if a kernel really starts with it, else "tcg".  Nested, a KVM may be there and fail.
accelerator() {	# RELEASE
	local stamp
	stamp=$cache/accelerator-$(cat /proc/sys/kernel/random/boot_id)
	if [ ! -s "$stamp" ]; then
		echo tcg >"$stamp"
		if [ -w /dev/kvm ]; then
			"${QEMU[@]}" -accel kvm -machine q35 -cpu max -m 512 -nodefaults -display none -no-reboot \
				-kernel "$root/boot/vmlinuz-$1" -append "console=ttyS0 panic=-1" \
				-serial "file:$stamp.log" >/dev/null 2>&1 &
			local probe=$! t
			for ((t = 0; t < 40; t++)); do
				kill -0 $probe 2>/dev/null || break
				sleep 0.25
			done
			kill $probe 2>/dev/null || true
			wait $probe 2>/dev/null || true
			grep -q 'Linux version' "$stamp.log" && grep -q 'Kernel panic' "$stamp.log" &&
				echo kvm >"$stamp"
			rm -f "$stamp.log"
		fi
	fi
	cat "$stamp"
}
