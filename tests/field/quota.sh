#!/bin/bash
# SPDX-License-Identifier: MIT
# Generation speed with the default number of threads and with as many as the container may use.
# quota.sh ACCELCTL MODEL      (root; cgroup v1 or v2; makes and removes a cgroup of its own)
ctl=$1 model=$2
speed() { "$@" run -d cpu -n 150 --ctx 512 "$model" the 2>&1 >/dev/null | grep -o '[0-9.]* tokens/s\]$'; }
for k in 1 2 3; do
	echo "taskset to one CPU: default $(taskset -c 0 "$ctl" run -d cpu -n 150 --ctx 512 "$model" the 2>&1 >/dev/null | grep -o '[0-9.]* tokens/s\]$')  --threads 1 $(taskset -c 0 "$ctl" run -d cpu --threads 1 -n 150 --ctx 512 "$model" the 2>&1 >/dev/null | grep -o '[0-9.]* tokens/s\]$')"
done
g=/sys/fs/cgroup/cpu/fieldtest
if [ -d /sys/fs/cgroup/cpu ]; then
	mkdir -p $g && echo 100000 >$g/cpu.cfs_period_us && echo 100000 >$g/cpu.cfs_quota_us
else
	g=/sys/fs/cgroup/fieldtest
	mkdir -p $g && echo "100000 100000" >$g/cpu.max
fi
for k in 1 2 3; do
	for n in "" "--threads 1"; do
		bash -c 'echo $$ >'$g'/cgroup.procs; exec "$0" run -d cpu '"$n"' -n 150 --ctx 512 "$1" the' "$ctl" "$model" 2>&1 >/dev/null |
			grep -o '[0-9.]* tokens/s\]$' | sed "s/^/quota of one CPU: ${n:-default} /"
	done
done
rmdir $g
