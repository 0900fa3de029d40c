# SPDX-License-Identifier: Apache-2.0
"""The door to NVIDIA's driver: NVML through pynvml, in a process of its own (nvml.h).

`child` is that process, and it and what it uses are the only code that imports pynvml: a call into
the driver may never return. `process` and `reports` are the parent's side.
"""
