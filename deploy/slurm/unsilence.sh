#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Program of strigger: ends what silence.sh began, for nodes that are up again. $1 and ALERTMANAGER
# are as there.

set -eu

url=${ALERTMANAGER:-http://127.0.0.1:9093}
for node in $(scontrol show hostnames "$1"); do
    for silence in $(amtool silence query --quiet --created-by=slurm "node=$node" --alertmanager.url="$url"); do
        amtool silence expire "$silence" --alertmanager.url="$url"
    done
done
