#!/bin/sh
# SPDX-License-Identifier: MIT
# quota.sh COMMAND...: in a control group of its own with a quota of one CPU (root; v1 or v2).
if [ -d /sys/fs/cgroup/cpu ]; then
	g=/sys/fs/cgroup/cpu/octans-$$
	mkdir "$g" && echo 100000 >"$g/cpu.cfs_period_us" && echo 100000 >"$g/cpu.cfs_quota_us" || exit 1
else
	g=/sys/fs/cgroup/octans-$$
	mkdir "$g" && echo "100000 100000" >"$g/cpu.max" || exit 1
fi
sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$g" "$@"
rc=$?
rmdir "$g"
exit $rc
