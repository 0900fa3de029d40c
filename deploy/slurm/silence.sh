#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Program of strigger: silences the alerts of nodes that were drained, one silence a node. $1 is a
# list of hosts as Slurm writes it, such as node[01-04]; ALERTMANAGER the address, DURATION how long
# at most.

set -eu

for node in $(scontrol show hostnames "$1"); do
    amtool silence add "node=$node" \
        --alertmanager.url="${ALERTMANAGER:-http://127.0.0.1:9093}" \
        --duration="${DURATION:-72h}" --author=slurm --comment="drained in Slurm"
done
