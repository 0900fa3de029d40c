"""What a step sends and how long it takes: by hand, and as invariants."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railwatch_analyzer.plan.collectives import Algorithm, Group
from railwatch_analyzer.plan.estimate import Estimate, estimate
from railwatch_analyzer.plan.job import Cluster, Job, Model, Parallelism, Work, compute_seconds
from railwatch_analyzer.plan.presets import MODELS
from railwatch_analyzer.plan.traffic import Source, flows, placed

_FOUR_NODES = Cluster(
    4, 8, 4, 25e9, efficiency=1.0, latency_seconds=0.0, algorithm=Algorithm.HIERARCHICAL
)
_LLAMA = Job(
    MODELS["llama2-7b"],
    Parallelism(data=32, zero=1),
    Work(micro_batches=32, compute_seconds=45.584, overlap=0.5),
    _FOUR_NODES,
)
# Two stages of four-way tensor parallelism on four nodes of eight: two replicas a node.
_PIPELINE = Job(
    Model(1e9, layers=8, hidden=1000, sequence=500),
    Parallelism(data=4, tensor=4, pipeline=2),
    Work(micro_batch_size=2, micro_batches=10, compute_seconds=1.0),
    Cluster(4, 8, 8, 1e9, efficiency=1.0, latency_seconds=0.0),
)


def _bytes(job: Job, source: Source) -> float:
    """What a node sends."""
    found = (flow for flow in flows(job) if flow.source is source)
    return sum(flow.node_bytes(job.cluster.algorithm) for flow in found)


def test_the_llama_job_sends_20_gigabytes_a_node_and_is_not_bound() -> None:
    """Worked by hand: 2 x 3/4 x 6.738e9 x 2 bytes, over four rails of 25 GB/s."""
    found = estimate(_LLAMA)

    assert found.rail_bytes * 4 == pytest.approx(20.2e9, rel=2e-3)
    assert found.network_seconds == pytest.approx(0.202, rel=2e-3)
    assert found.exposed_share(0.0) == pytest.approx(0.0044, rel=0.01)
    assert found.exposed_share(1.0) == 0.0


@pytest.mark.parametrize(
    ("size", "stride", "group"),
    [(32, 1, Group(32, 4)), (4, 8, Group(4, 4)), (8, 4, Group(8, 4)), (16, 1, Group(16, 2))],
)
def test_groups_fill_nodes_in_the_order_of_megatron(size: int, stride: int, group: Group) -> None:
    assert placed(size, stride, _FOUR_NODES) == group


def test_a_pipeline_of_two_sends_each_way_once() -> None:
    """2 x 500 x 1000 x 2 bytes, ten times, from eight GPUs of a node."""
    assert _bytes(_PIPELINE, Source.PIPELINE) == 2e6 * 10 * 8


def test_sequence_parallelism_divides_what_stages_send_and_not_what_tensors_do() -> None:
    across = replace(_PIPELINE, parallelism=Parallelism(data=1, tensor=16, pipeline=2))
    divided = replace(across, parallelism=replace(across.parallelism, sequence=True))

    assert _bytes(divided, Source.PIPELINE) == _bytes(across, Source.PIPELINE) / 16
    assert _bytes(divided, Source.TENSOR) == pytest.approx(_bytes(across, Source.TENSOR))


def test_tensor_parallelism_sends_8bsh_a_layer_as_megatron_says() -> None:
    """Narayanan et al. 2021, section 3.2: elements of 2 bytes, 4 layers a stage."""
    across = replace(_PIPELINE, parallelism=Parallelism(data=1, tensor=16, pipeline=2))

    sent = _bytes(across, Source.TENSOR)

    assert sent == pytest.approx(4 * 8 * 2 * 500 * 1000 * 15 / 16 * 2 * 10)


def test_stages_within_a_node_use_no_rail_but_at_its_border() -> None:
    """Four stages of two GPUs a node, and two nodes: one boundary of six crosses nothing."""
    cluster = Cluster(2, 8, 8, 1e9)
    job = Job(_PIPELINE.model, Parallelism(data=2, pipeline=8), _PIPELINE.work, cluster)

    assert _bytes(job, Source.PIPELINE) == 2e6 * 10 * 2
    assert _bytes(job, Source.DATA) == 0


def test_experts_are_sent_tokens_and_share_fewer_gradients() -> None:
    """Eight experts over sixteen GPUs on two nodes; 80 % of the parameters are theirs."""
    model = Model(
        1e9, layers=4, hidden=1000, sequence=500,
        experts=16, top_k=2, moe_layers=4, expert_parameters=8e8,
    )  # fmt: skip
    split = Parallelism(data=16, expert=16)
    job = Job(model, split, Work(compute_seconds=1.0), Cluster(2, 8, 8, 1e9))

    found = {flow.group.size for flow in flows(job)}

    assert _bytes(job, Source.EXPERT) == 4 * 4 * 8 * 1e6 * 2 * (1 / 2)
    # One GPU has each expert: nobody to reduce its gradients with.
    assert _bytes(job, Source.DATA) == pytest.approx(2 * 15 / 16 * 2e8 * 2)
    assert found == {16}
    assert model.active_parameters == pytest.approx(3e8)


def test_six_flops_a_parameter_and_token() -> None:
    """1e9 parameters, 10,000 tokens, eight GPUs to a replica."""
    assert compute_seconds(_PIPELINE, 100e12, 0.5) == pytest.approx(6e9 * 10_000 / 8 / 50e12)


def test_an_all_reduce_hides_under_the_last_backward_pass_only() -> None:
    """Ten micro-batches of 0.1 s: two thirds of one are 0.067 s, of which half may be used."""
    found = estimate(replace(_PIPELINE, work=replace(_PIPELINE.work, overlap=0.5)))
    data = next(timed for timed in found.flows if timed.flow.source is Source.DATA)

    assert data.hideable_seconds == pytest.approx(0.2 / 3)
    assert found.exposed_seconds(0.5) == pytest.approx(data.seconds - 0.1 / 3)
    assert found.bubble_seconds == pytest.approx(0.1)


def test_what_stays_in_nodes_takes_time_where_nvlink_is_known() -> None:
    known = replace(_PIPELINE, cluster=replace(_PIPELINE.cluster, nvlink=100e9))

    least = estimate(_PIPELINE).step_seconds(1.0)
    longer = estimate(known).step_seconds(1.0)

    assert longer > least


@st.composite
def _jobs(draw: st.DrawFn) -> Job:
    tensor, pipeline, replicas = (2 ** draw(st.integers(0, most)) for most in (4, 3, 4))
    gpus = tensor * pipeline * replicas
    per_node = min(gpus, 8)
    return Job(
        Model(draw(st.floats(1e6, 1e12)), layers=16, hidden=1024, sequence=512),
        Parallelism(
            replicas, tensor, pipeline, zero=draw(st.integers(0, 3)), sequence=draw(st.booleans())
        ),
        Work(
            micro_batches=draw(st.integers(1, 64)),
            compute_seconds=draw(st.floats(1e-3, 100)),
            overlap=draw(st.floats(0.01, 1)),
        ),
        Cluster(
            gpus // per_node,
            per_node,
            draw(st.integers(1, 8)),
            draw(st.floats(1e8, 1e11)),
            latency_seconds=draw(st.sampled_from([0.0, 15e-6])),
            algorithm=draw(st.sampled_from(list(Algorithm))),
        ),
    )


def _faster(job: Job, line_rate: float) -> Estimate:
    return estimate(replace(job, cluster=replace(job.cluster, line_rate=line_rate)))


@settings(max_examples=60, deadline=None)
@given(job=_jobs())
def test_exposed_shares_are_shares_and_overlap_only_helps(job: Job) -> None:
    found = estimate(job)

    shares = [found.exposed_share(overlap) for overlap in (1.0, 0.5, 0.0)]

    assert 0.0 <= shares[0] <= shares[1] <= shares[2] <= 1.0


@settings(max_examples=60, deadline=None)
@given(job=_jobs(), factor=st.floats(1.0, 100.0))
def test_a_faster_line_never_makes_a_step_longer(job: Job, factor: float) -> None:
    faster = _faster(job, job.cluster.line_rate * factor)

    step = estimate(job).step_seconds(job.work.overlap)

    assert faster.step_seconds(job.work.overlap) <= step * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(job=_jobs())
def test_the_sufficient_line_rate_leaves_what_can_never_be_hidden(job: Job) -> None:
    rate = estimate(job).sufficient_line_rate

    if rate:
        at_it = _faster(job, rate * (1 + 1e-9))
        # Beyond it only the floor remains: a step lasts as long as its bytes take.
        least = max(at_it.never_hidden_seconds, at_it.network_seconds - at_it.busy_seconds)
        assert at_it.exposed_seconds(job.work.overlap) == pytest.approx(least, rel=1e-6, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(job=_jobs())
def test_zero_1_sends_what_plain_data_parallelism_does_by_rings(job: Job) -> None:
    """Where gradients and parameters are of one size: Rajbhandari et al. 2020, section 7."""
    rings = replace(job, cluster=replace(job.cluster, algorithm=Algorithm.RING))
    by_stage = [
        _bytes(replace(rings, parallelism=replace(job.parallelism, zero=stage)), Source.DATA)
        for stage in (0, 1)
    ]

    assert by_stage[1] == pytest.approx(by_stage[0])


def test_zero_3_sends_half_as_much_again_a_micro_batch() -> None:
    once = replace(_LLAMA, work=replace(_LLAMA.work, micro_batches=1))
    plain, sharded = (
        _bytes(replace(once, parallelism=Parallelism(data=32, zero=stage)), Source.DATA)
        for stage in (0, 3)
    )

    assert sharded == pytest.approx(1.5 * plain)


@pytest.mark.parametrize(("stage", "times"), [(0, 1), (1, 1), (2, 32), (3, 32)])
def test_who_keeps_a_share_of_the_gradients_reduces_each_micro_batch(
    stage: int, times: int
) -> None:
    job = replace(_LLAMA, parallelism=Parallelism(data=32, zero=stage))

    assert flows(job)[0].times == times


def test_a_step_lasts_as_long_as_its_bytes_take_however_they_are_hidden() -> None:
    """Each of two kinds fits under a second of compute, and not both of them."""
    data, stages = estimate(_PIPELINE).flows
    kinds = tuple(
        replace(timed, latency_seconds=0.0, transfer_seconds=0.9, hideable_seconds=1.0)
        for timed in (data, stages)
    )

    found = replace(estimate(_PIPELINE), flows=kinds, bubble_seconds=0.0)

    assert found.step_seconds(1.0) == pytest.approx(1.8)
