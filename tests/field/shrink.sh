#!/bin/bash
# SPDX-License-Identifier: MIT
# A model file that is cut (or replaced in place by a download that starts again) while accelctl runs.
# shrink.sh ACCELCTL MODEL DEVICE
cp "$2" ${TMPDIR:-/tmp}/shrink.$$.gguf
timeout 60 "$1" run -d "$3" --ctx 3000000 -n 2900000 ${TMPDIR:-/tmp}/shrink.$$.gguf the >${TMPDIR:-/tmp}/shrink.$$.out 2>${TMPDIR:-/tmp}/shrink.$$.err &
pid=$!
sleep 0.5
truncate -s 4096 ${TMPDIR:-/tmp}/shrink.$$.gguf
wait $pid
echo "device $3: exit code $?, stderr: $(tail -c 300 ${TMPDIR:-/tmp}/shrink.$$.err)"
rm -f ${TMPDIR:-/tmp}/shrink.$$.*
