# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Where the kernel's source is, and how a command is run beside it.  Sourced.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$top/tests/rootfs.sh"
kernel=7.3
cache=$caches/upstream
dir=$cache/root
tree=$dir/usr/src/linux-source-$kernel
