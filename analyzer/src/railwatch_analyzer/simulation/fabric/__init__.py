# SPDX-License-Identifier: Apache-2.0
"""The flow-level traffic model: rings, queues, ECN, pauses and losses, tick by tick.

    conditions  what the faults of the moment leave of every capacity
    wiring      which flow goes from which NIC to which, and over which uplink
    sharing     max-min fair shares of a capacity
    dcqcn       how a sender's rate answers to congestion notifications
    uplinks     those of leaf switches, and who shares them
    trail       what a batch of steps wants, and what it leaves behind
    burst       one communication phase of many steps at once, tick by tick; all counters are its
    steps       what varies from step to step, and what a step leaves behind
    counters    what drivers count of it, by the names of the catalogue
    traffic     a job's steps in time, in the place of `simulation.traffic.JobTraffic`

Steps do not influence each other but by when they begin, so many are computed side by side: what
costs is a tick, hardly the number of steps or links in it.
"""
