#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Epilog of slurmd: the job has left this node. Always ends with 0, or the node would be drained.

PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH

directory=${RAILWATCH_JOBS:-/run/railwatch/jobs}

case $SLURM_JOB_ID in
    '' | *[!0-9]*) exit 0 ;;
esac
cd -P "$directory" 2>/dev/null || exit 0
[ "$(pwd -P)" = "$directory" ] || exit 0
rm -f "$SLURM_JOB_ID" ".$SLURM_JOB_ID."*
exit 0
