"""`railwatch-analyzer plan`: what it refuses, and what it answers to programs."""

import json

import pytest

from railwatch_analyzer.cli import main

_BERT = "--model bert-large --nodes 4 --gpus-per-node 4 --line-rate-gbit 10 --gpu v100"
_GPT = "--model gpt3-175b --nodes 16 --line-rate-gbit 100 --gpu a100"
_MOE = f"{_GPT} --experts 16 --moe-layers 48 --expert-parameters 100B --expert-parallel 8"
_RUNNING = "--measured-bytes-per-step 1G --step-seconds 2 --line-rate-gbit 8"


@pytest.mark.parametrize(
    ("flags", "flag"),
    [
        ("", "line-rate-gbit"),
        (f"{_BERT} --nodes 0", "nodes"),
        (f"{_BERT} --nodes -1", "nodes"),
        (f"{_BERT} --nodes 1.5", "nodes"),
        (f"{_BERT} --nodes many", "nodes"),
        (f"{_BERT} --micro-batches 1e300", "micro-batches"),
        (f"{_BERT} --line-rate-gbit 1e-310", "line-rate-gbit"),
        (f"{_BERT} --line-rate-gbit nan", "line-rate-gbit"),
        (f"{_BERT} --line-rate-gbit inf", "line-rate-gbit"),
        (f"{_BERT} --efficiency 1.1", "efficiency"),
        (f"{_BERT} --overlap 2", "overlap"),
        (f"{_BERT} --latency-seconds -1", "latency-seconds"),
        (f"{_BERT} --algorithm star", "algorithm"),
        (f"{_BERT} --model bert", "model"),
        (f"{_BERT} --gpu tpu", "gpu"),
        (f"{_BERT} --zero 4", "zero"),
        (f"{_BERT} --mfu 0", "mfu"),
        (f"{_BERT} --data-parallel 7", "data-parallel"),
        (f"{_BERT} --sequence-parallel", "sequence-parallel"),
        (f"{_BERT} --tensor-parallel 3", "tensor-parallel"),
        (f"{_BERT} --pipeline-parallel 3", "pipeline-parallel"),
        (f"{_BERT} --nodes 8 --pipeline-parallel 32", "pipeline-parallel"),
        (f"{_BERT} --expert-parallel 2", "experts"),
        (f"{_MOE} --expert-parallel 3", "expert-parallel"),
        (f"{_MOE} --experts 12", "expert-parallel"),
        (f"{_MOE} --top-k 17", "top-k"),
        (f"{_MOE} --moe-layers 97", "moe-layers"),
        (f"{_MOE} --moe-layers 0", "moe-layers"),
        (f"{_MOE} --expert-parameters 200B", "expert-parameters"),
        ("--nodes 6 --tensor-parallel 12 --line-rate-gbit 1 --parameters 1G", "tensor-parallel"),
        ("--nodes 2 --line-rate-gbit 1", "layers"),
        ("--nodes 2 --line-rate-gbit 1 --layers 2 --hidden 8 --sequence 4", "vocabulary"),
        ("--nodes 2 --line-rate-gbit 1 --parameters 7B", "compute-seconds"),
        ("--nodes 2 --line-rate-gbit 1 --parameters 7B --sequence 9", "compute-seconds"),
        ("--nodes 2 --line-rate-gbit 1 --parameters 7B --tensor-parallel 2", "layers"),
        ("--measured-bytes-per-step 1G --line-rate-gbit 8", "step-seconds"),
        (f"{_RUNNING} --exposed-seconds 2", "exposed-seconds"),
    ],
)
def test_a_wrong_flag_is_named_in_one_line(
    flags: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["plan", *flags.split()])

    written = capsys.readouterr()
    assert code == 1
    assert written.out == ""
    assert written.err.startswith(f"railwatch-analyzer: --{flag}: ")
    assert written.err.count("\n") == 1


def _json(flags: str, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, float]]:
    assert main(["plan", "--json", *flags.split()]) == 0
    answer: dict[str, dict[str, float]] = json.loads(capsys.readouterr().out)
    return answer


def test_a_running_job_is_held_against_its_rails(capsys: pytest.CaptureFixture[str]) -> None:
    """1 GB in 2 s, of which 1 s is exposed, at 1 GB/s: the second that is left is just enough."""
    measured = _json(f"{_RUNNING} --exposed-seconds 1 --efficiency 0.5", capsys)["measured"]

    assert measured["bandwidth_demand_ratio"] == 1.0
    assert measured["least_network_seconds"] == 2.0
    assert measured["sufficient_line_rate_bytes_per_second"] == 2e9


def test_programs_get_the_plan_in_bytes_and_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    flags = f"{_BERT} --compute-seconds 1 --algorithm hierarchical --latency-seconds 0"

    answer = _json(f"{flags} --efficiency 1 --nics-per-node 1", capsys)

    assert answer["plan"]["bytes_per_step_and_rail"] == pytest.approx(1.5 * 680e6)
    assert answer["plan"]["network_seconds"] == pytest.approx(1.5 * 680e6 / 1.25e9)
    assert not any("efficiency" in text or "mfu" in text for text in answer["assumptions"])


def test_a_model_of_its_own_size_and_experts_across_nodes_are_answered(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["plan", *_MOE.split(), "--expert-parallel", "16", "--overlap", "0"])

    assert code == 0
    assert "never hidden" in capsys.readouterr().out


def test_a_plan_and_a_measurement_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["plan", *_BERT.split(), *_RUNNING.split()])

    assert code == 0
    assert "times the bytes of the plan" in capsys.readouterr().out
