#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prolog of slurmd: says which job is on this node, for railwatch's [job] slurm.
# Whatever goes wrong here is no reason to drain a node, so it always ends with 0.

PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
umask 022

directory=${RAILWATCH_JOBS:-/run/railwatch/jobs}

# A name ends a line of the file, so it must not hold one.
one_line() {
    printf '%s' "$1" | tr -d '\000-\037\177'
}

# Whether the directory is this user's, and no other may write in it.
is_own() {
    ls -ldn . | {
        read -r mode _ user _
        case $mode in
            ?????-??-*) [ "$user" = "$(id -u)" ] ;;
            *) return 1 ;;
        esac
    }
}

write_map() {
    case $SLURM_JOB_ID in
        '' | *[!0-9]*) return 1 ;;
    esac
    mkdir -p "$directory" || return 1
    # What is above may belong to the agent's user: no link of theirs leads this script elsewhere,
    # and nobody else can put one in the place of its file.
    cd -P "$directory" || return 1
    [ "$(pwd -P)" = "$directory" ] || return 1
    is_own || return 1
    temporary=$(mktemp ".$SLURM_JOB_ID.XXXXXX") || return 1
    {
        printf 'job_id=%s\n' "$SLURM_JOB_ID"
        printf 'user=%s\n' "$(one_line "$SLURM_JOB_USER")"
        printf 'uid=%s\n' "$(one_line "$SLURM_JOB_UID")"
        printf 'partition=%s\n' "$(one_line "$SLURM_JOB_PARTITION")"
        # The node's own numbers; those of CUDA may be counted from 0 in each job.
        printf 'gpus=%s\n' "$(one_line "${SLURM_JOB_GPUS:-$CUDA_VISIBLE_DEVICES}")"
        printf 'boot_id=%s\n' "$(cat /proc/sys/kernel/random/boot_id)"
    } >"$temporary" && chmod 644 "$temporary" && mv -f "$temporary" "$SLURM_JOB_ID" && return 0
    rm -f "$temporary"
    return 1
}

write_map || logger -t railwatch "cannot write $directory/$SLURM_JOB_ID" 2>/dev/null
exit 0
