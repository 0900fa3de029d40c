# SPDX-License-Identifier: Apache-2.0
"""The job that the flags of `plan` describe, if they do not contradict each other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from railwatch.settings import ConfigError
from railwatch_analyzer.plan.collectives import Algorithm
from railwatch_analyzer.plan.job import (
    GBIT,
    Cluster,
    Job,
    Model,
    Parallelism,
    Work,
    compute_seconds,
    parameters_of,
)
from railwatch_analyzer.plan.presets import MODELS, PEAK_FLOPS

if TYPE_CHECKING:
    from railwatch_analyzer.plan.flags import Given


def described(given: Given, *, sequence_parallel: bool) -> Job:
    """Return the job that the flags describe.

    Raises
    ------
    ConfigError
        If they contradict each other; the message begins with a flag.
    """
    cluster = _cluster(given)
    model = _model(given)
    split = _parallelism(given, cluster, sequence=sequence_parallel)
    job = Job(model, split, _work(given), cluster)
    _check_model(job)
    return replace(job, work=replace(job.work, compute_seconds=_compute(given, job)))


def _cluster(given: Given) -> Cluster:
    gpus = given.whole("gpus-per-node")
    return Cluster(
        nodes=given.whole("nodes"),
        gpus_per_node=gpus,
        nics_per_node=given.whole("nics-per-node") if given.has("nics-per-node") else gpus,
        line_rate=line_rate(given),
        efficiency=given.real("efficiency", most=1.0),
        latency_seconds=given.real("latency-seconds"),
        algorithm=Algorithm(given.choice("algorithm", {item: item for item in Algorithm})),
        nvlink=given.real("nvlink-gbyte") * 1e9,
    )


def line_rate(given: Given) -> float:
    """Return a rail's line rate in bytes per second."""
    return given.real("line-rate-gbit") * GBIT


def _model(given: Given) -> Model:
    known = MODELS[given.choice("model", MODELS)] if given.has("model") else Model(0.0)
    sizes = {
        name: given.whole(name) if given.has(name) else int(getattr(known, name))
        for name in ("layers", "hidden", "sequence")
    }
    parameters = known.parameters
    if given.has("parameters"):
        parameters = given.real("parameters")
    elif not parameters:
        for name in ("layers", "hidden", "vocabulary", "sequence"):
            if not given.has(name):
                raise ConfigError(f"--{name}: is needed, or --parameters, or --model")
        parameters = parameters_of(vocabulary=given.whole("vocabulary"), **sizes)
    return Model(
        parameters,
        **sizes,
        experts=given.whole("experts"),
        top_k=given.whole("top-k"),
        moe_layers=given.whole("moe-layers"),
        expert_parameters=given.real("expert-parameters"),
    )


def _parallelism(given: Given, cluster: Cluster, *, sequence: bool) -> Parallelism:
    tensor, pipeline = given.whole("tensor-parallel"), given.whole("pipeline-parallel")
    if cluster.gpus % (tensor * pipeline):
        flag = "tensor-parallel" if cluster.gpus % tensor else "pipeline-parallel"
        raise ConfigError(f"--{flag}: {tensor} x {pipeline} does not divide {cluster.gpus} GPUs")
    data = cluster.gpus // (tensor * pipeline)
    if given.has("data-parallel") and given.whole("data-parallel") != data:
        raise ConfigError(f"--data-parallel: {cluster.gpus} GPUs make {data} replicas")
    expert = given.whole("expert-parallel")
    stage = given.whole("zero")
    if stage > 3:
        raise ConfigError(f"--zero: must be 0, 1, 2 or 3, got {stage}")
    _check_nodes("tensor-parallel", tensor, cluster)
    if data % expert:
        raise ConfigError(f"--expert-parallel: {expert} does not divide {data} replicas")
    _check_nodes("data-parallel", tensor * data, cluster)
    _check_nodes("expert-parallel", tensor * expert, cluster)
    if sequence and tensor == 1:
        raise ConfigError("--sequence-parallel: needs --tensor-parallel above 1")
    return Parallelism(data, tensor, pipeline, expert, stage, sequence)


def _check_nodes(flag: str, gpus: int, cluster: Cluster) -> None:
    if gpus % cluster.gpus_per_node and cluster.gpus_per_node % gpus:
        raise ConfigError(
            f"--{flag}: groups of {gpus} GPUs neither fill nodes of {cluster.gpus_per_node} "
            "nor divide them"
        )


def _check_model(job: Job) -> None:
    model, split = job.model, job.parallelism
    if model.experts:
        _check_experts(model, split)
    elif model.expert_parameters or model.moe_layers or split.expert > 1:
        raise ConfigError(
            "--experts: is needed with --expert-parallel, --expert-parameters and --moe-layers"
        )
    if max(split.tensor, split.pipeline, split.expert) > 1:
        for name in ("layers", "hidden", "sequence"):
            if not getattr(model, name):
                raise ConfigError(f"--{name}: is needed to know the size of activations")
    if model.layers and split.pipeline > model.layers:
        raise ConfigError(f"--pipeline-parallel: {split.pipeline} stages of {model.layers} layers")


def _check_experts(model: Model, split: Parallelism) -> None:
    experts = model.experts
    if experts % split.expert:
        raise ConfigError(f"--expert-parallel: {split.expert} does not divide {experts} experts")
    if model.top_k > experts:
        raise ConfigError(f"--top-k: there are {experts} experts, got {model.top_k}")
    if not model.moe_layers:
        raise ConfigError("--moe-layers: is needed with --experts")
    if model.layers and model.moe_layers > model.layers:
        raise ConfigError(f"--moe-layers: there are {model.layers} layers, got {model.moe_layers}")
    if not 0 < model.expert_parameters < model.parameters:
        raise ConfigError("--expert-parameters: must be above 0 and below all parameters")


def _work(given: Given) -> Work:
    return Work(
        micro_batch_size=given.whole("micro-batch-size"),
        micro_batches=given.whole("micro-batches"),
        gradient_bytes=given.real("gradient-bytes"),
        parameter_bytes=given.real("parameter-bytes"),
        activation_bytes=given.real("activation-bytes"),
        overlap=given.real("overlap", most=1.0),
    )


def _compute(given: Given, job: Job) -> float:
    if given.has("compute-seconds"):
        return given.real("compute-seconds")
    if not job.model.sequence:
        raise ConfigError("--compute-seconds: is needed, or --sequence and --gpu")
    if given.has("peak-tflops"):
        peak = given.real("peak-tflops") * 1e12
    elif given.has("gpu"):
        peak = PEAK_FLOPS[given.choice("gpu", PEAK_FLOPS)]
    else:
        raise ConfigError("--compute-seconds: is needed, or --gpu or --peak-tflops")
    return compute_seconds(job, peak, given.real("mfu", most=1.0))
