# SPDX-License-Identifier: Apache-2.0
"""The job view: pure folds from steps to what bounds a job, what slows it and who is waited for.

step series, records → stretches (what a member did) → gathering (all members of a step)
    → JobStep → pace, bound, shift, stragglers → causes → claims
"""
