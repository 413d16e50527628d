# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# How root file systems are made of packages that are only unpacked: mkroot, debug-kernel, igt.
# Sourced after lib.sh; $version names what is made, $dir is the root at work.

# Debian's mirror, as this machine has it.
mirror() {
	{
		cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk '/^URIs:/{print $2}'
		cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
			awk '/^deb /{for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) {print $i; break}}'
	} | grep -E '/debian/?$' | grep -v security | head -n 1
}

step() {	# NAME COMMAND...: runs it unless it was done
	local name=$1 stamp=$cache/.done-$version-$1 log=$cache/$1.log start=$SECONDS
	shift
	[ -e "$stamp" ] && return
	("$@") >"$log" 2>&1 &
	if ! wait $!; then
		tail -n 20 "$log" | sed 's#[a-z]*://[^ ]*#MIRROR#g' >&2
		die "step $name failed; its log is $log; run again to retry"
	fi
	printf 'VM root: %-28s%d s\n' "$name ..." $((SECONDS - start))
	touch "$stamp"
}

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# tests/vm/run unpacks the kernels' modules with xz and zstd.
has_tools() {
	[ -e $keyring ] && command -v xz >/dev/null && command -v zstd >/dev/null
}

host_tools() {
	as_root apt-get -q update
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
		install -y -q --no-install-recommends debian-archive-keyring xz-utils zstd
}

# This machine's apt with lists, state and archives of another root in $dir/apt.
foreign() {	# apt-get|apt-cache ARGUMENTS...
	as_root "$1" -c "$dir/apt/conf" "${@:2}"
}

begin() {	# SUITE: an empty root in $dir
	local m d
	m=$(mirror || true)
	[ -n "$m" ] || die "no Debian mirror in this machine's apt sources"
	as_root rm -rf "$dir"
	as_root mkdir -p "$dir"/apt/{lists,archives}/partial "$dir"/usr/{bin,sbin,lib,lib64} "$dir/octans"
	for d in bin sbin lib lib64; do
		as_root ln -s usr/$d "$dir/$d"
	done
	as_root tee "$dir/apt/conf" >/dev/null <<-EOF
		APT::Architecture "amd64";
		#clear APT::Architectures;
		APT::Architectures { "amd64"; };
		APT::Install-Recommends "false";
		APT::Sandbox::User "root";
		#clear APT::Update::Pre-Invoke;
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		Acquire::Check-Valid-Until "false";
		Acquire::Languages "none";
		Acquire::Retries "3";
		Dir::Cache "$dir/apt";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		Dir::Etc::sourcelist "$dir/apt/sources";
		Dir::Etc::sourceparts "/dev/null";
		Dir::State "$dir/apt";
		Dir::State::status "$dir/apt/status";
	EOF
	as_root tee "$dir/apt/sources" >/dev/null <<-EOF
		deb [signed-by=$keyring] $m $1 main
	EOF
	[ "$1" = sid ] || as_root tee -a "$dir/apt/sources" >/dev/null <<-EOF
		deb [signed-by=$keyring] $m $1-backports main
	EOF
	as_root touch "$dir/apt/status"
	foreign apt-get -q update
}

# The newest kernel's headers of a suite.  They depend on an image that nobody here boots, or
# not by installing it: apt is told that it is there.
headers() {	# SUITE
	local h image
	h=$(foreign apt-cache show "linux-headers-amd64/$1" | grep -oE 'linux-headers-[0-9][^ ,]*' | sort -u) || true
	[ -n "$h" ] || die "no kernel headers found in $1"
	for image in $(foreign apt-cache show "$h" | grep -oE 'linux-image-[0-9][^ ,]*-amd64' | sort -u); do
		foreign apt-cache show "$image" |
			awk '/^Package:/ { print "\n" $0 "\nStatus: install ok installed" } /^(Version|Architecture):/'
	done | as_root tee -a "$dir/apt/status" >/dev/null
	echo "$h"
}

# Unpacks all that was fetched, without documentation and without modules for hardware that no
# VM has; then does by hand the little that would be configured.
finish() {
	local skip=() p n
	for p in share/{doc,info,locale,man} 'lib/modules/*/kernel/sound' \
		'lib/modules/*/kernel/drivers/'{infiniband,media,net/ethernet,net/wireless,scsi,staging} \
		'lib/modules/*/kernel/drivers/gpu/drm/'{amd,i915,nouveau,radeon,xe}; do
		skip+=("--exclude=*/$p")
	done
	# shellcheck disable=SC2016
	(cd "$dir/apt/archives" && ls -S -- *.deb) | as_root xargs -P "$(nproc)" -n 1 bash -c '
		set -o pipefail
		dpkg-deb --fsys-tarfile "$1/apt/archives/${*: -1}" |
			tar -x -C "$1" --keep-directory-symlink --skip-old-files "${@:2:$# - 2}"
		' unpack "$dir" "${skip[@]}"
	as_root rm -rf "$dir/apt"
	as_root ln -sf mawk "$dir/usr/bin/awk"
	as_root ln -sf which.debianutils "$dir/usr/bin/which"
	as_root cp "$dir/usr/share/base-passwd/passwd.master" "$dir/etc/passwd"
	as_root cp "$dir/usr/share/base-passwd/group.master" "$dir/etc/group"
	for n in "null 3" "zero 5" "urandom 9"; do
		# shellcheck disable=SC2086
		as_root mknod -m 666 "$dir/dev/${n% *}" c 1 ${n#* }
	done
}
