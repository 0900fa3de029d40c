# SPDX-License-Identifier: Apache-2.0
"""The GPUs of the node: what is known of them, and who keeps the process that asks NVML.

`keeper` starts it, hears it and ends it; `run` is one such process, `trial` one that tries a GPU
again; `roster` has the numbers, `ledger` what was said, `tape` the fast samples.
"""
