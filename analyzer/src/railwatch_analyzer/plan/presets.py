# SPDX-License-Identifier: Apache-2.0
"""Models and GPUs by name, each with where its figures are from."""

from __future__ import annotations

from types import MappingProxyType

from railwatch_analyzer.plan.job import Model

MODELS = MappingProxyType(
    {
        # Devlin et al. 2019 say 340M; counted from the published model, 335M without its heads.
        "bert-large": Model(340e6, layers=24, hidden=1024, sequence=512),
        # Brown et al. 2020, table 2.1.
        "gpt3-175b": Model(175e9, layers=96, hidden=12288, sequence=2048),
        # Touvron et al. 2023, and config.json of the published models: counted from the weights.
        "llama2-7b": Model(6.738e9, layers=32, hidden=4096, sequence=4096),
        "llama2-70b": Model(68.98e9, layers=80, hidden=8192, sequence=4096),
    }
)

PEAK_FLOPS = MappingProxyType(
    # NVIDIA's data sheets: dense fp16 or bf16 on tensor cores, SXM.
    {"v100": 125e12, "a100": 312e12, "h100": 989e12}
)
