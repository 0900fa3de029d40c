# SPDX-License-Identifier: Apache-2.0
"""The one model of a fleet that demo, evaluation and scale tests share.

    Simulation (topology, jobs, faults, noise, seed)
        → traffic   bytes of each job's edges as functions of time; the part that may be replaced
        → samples   what a fast sampler would read off every NIC, tick by tick
        → frames, exposition (and whatever else is made of samples)

Times inside are seconds since the simulation began; only the outputs know Unix time.
"""
