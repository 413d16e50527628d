#!/bin/bash
# SPDX-License-Identifier: MIT
# accelctl in front of a made-up /sys and /dev/accel, as containers and half-installed machines have them.
# sysfs.sh ACCELCTL SCENE COMMAND...      (root; everything lives in a mount namespace of its own)
ctl=$1 scene=$2
shift 2
export ctl scene
exec unshare --mount --propagation private bash -c '
pci() {	# ADDRESS DRIVER|-
	mkdir -p /sys/bus/pci/devices/$1 /sys/bus/pci/drivers/x
	echo 0x1af4 >/sys/bus/pci/devices/$1/vendor
	echo 0x10f5 >/sys/bus/pci/devices/$1/device
	[ "$2" = - ] || { mkdir -p /sys/bus/pci/drivers/$2; ln -s ../../drivers/$2 /sys/bus/pci/devices/$1/driver; }
}
node() {	# NUMBER ADDRESS
	mkdir -p /sys/class/accel/accel$1
	ln -s /sys/bus/pci/devices/$2 /sys/class/accel/accel$1/device
}
dev() {		# NUMBER MODE: a node whose driver is not there
	mkdir -p /dev/accel
	mknod -m $2 /dev/accel/accel$1 c 261 $1
}
[ $scene = real ] || mount -t tmpfs none /sys
[ -d /dev/accel ] || mkdir -p /dev/accel
mount -t tmpfs none /dev/accel
case $scene in
nosys) ;;					# /sys is empty: a container without it
nodev) pci 0000:00:06.0 octans; node 0 0000:00:06.0;;	# docker run without --device
perm) pci 0000:00:06.0 octans; node 0 0000:00:06.0; dev 0 600;;
gone) pci 0000:00:06.0 octans; node 0 0000:00:06.0; dev 0 666;;	# unplugged: open gives ENXIO
vfio) pci 0000:00:06.0 vfio-pci; mkdir -p /sys/class/accel;;	# given to a VM
unbound) pci 0000:00:06.0 -; mkdir -p /sys/class/accel;;
other) mkdir -p /sys/bus/pci/devices/0000:00:0b.0 /sys/bus/pci/drivers/intel_vpu; ln -s ../../drivers/intel_vpu /sys/bus/pci/devices/0000:00:0b.0/driver
	node 0 0000:00:0b.0; dev 0 666; pci 0000:00:06.0 octans; node 1 0000:00:06.0; dev 1 600;;
noclass) pci 0000:00:06.0 -;;
real) ;;
esac
"$@"
' bash "$@"
