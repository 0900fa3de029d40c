"""Settings read anew while the agent runs: what changes, what stays, and that nothing is lost."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from agent.program import Program
from agent.trees import Nic, RdmaPort, Tree
from railwatch.reload import Reloader, adopt
from railwatch.settings import ConfigError
from railwatch_agent.settings import (
    AgentSettings,
    CollectorSettings,
    RailSettings,
    RdmaSettings,
    SamplerSettings,
    ServerSettings,
)

_VENDOR = "railwatch_rdma_counter_total"


def test_what_may_change_meanwhile_does_and_the_rest_is_named() -> None:
    running = AgentSettings()
    wanted = replace(
        running,
        server=ServerSettings(listen="127.0.0.1:1"),
        sampler=SamplerSettings(interval_seconds=0.1, cpu_budget_ratio=0.5),
        rails=(RailSettings(device="mlx5_0"),),
        rdma=RdmaSettings(counters=("roce_slow_restart",)),
    )

    settings, left = adopt(running, wanted)

    assert settings == replace(
        running,
        sampler=SamplerSettings(cpu_budget_ratio=0.5),
        rdma=RdmaSettings(counters=("roce_slow_restart",)),
    )
    assert left == ("[server] listen", "[sampler] interval_seconds", "rails")


def test_settings_that_cannot_be_put_in_force_stay_as_they_were(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disabled = CollectorSettings(disable=("host",))
    answers = iter([AgentSettings(collectors=disabled), ConfigError("[x] y:\n is wrong")])
    in_force = []

    def read() -> AgentSettings:
        answer = next(answers)
        if isinstance(answer, ConfigError):
            raise answer
        return answer

    reloader = Reloader(AgentSettings(), read=read, put_in_force=in_force.append)
    reloader.reload()
    reloader.reload()

    assert [settings.collectors for settings in in_force] == [disabled]
    assert caplog.messages == ["settings stay as they were: [x] y: is wrong"]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "node")
    port = RdmaPort(hw_counters={"roce_slow_restart": 5, "out_of_sequence": 3})
    tree.add(Nic("rail0", pci="0000:3b:00.0", rdma="mlx5_0", port=port))
    return tree


def test_an_agent_reads_its_settings_anew_and_goes_on_counting(tmp_path: Path, tree: Tree) -> None:
    with Program(tmp_path, tree) as agent:
        before = agent.config.read_text()
        samples = agent.value("railwatch_agent_fast_samples_total")
        assert samples is not None
        assert agent.value(_VENDOR, counter="roce_slow_restart") is None

        def reload(toml: str) -> None:
            agent.config.write_text(before + toml)
            os.kill(agent.process.pid, signal.SIGHUP)

        reload(
            '[rdma]\ncounters = ["roce_slow_restart"]\n[collectors]\ndisable = ["host"]\n'
            "[sampler]\nwindow_seconds = 20.0\n"
        )
        agent.wait_for_value(5, _VENDOR, device="mlx5_0", counter="roce_slow_restart")
        agent.wait_for_value(None, "railwatch_agent_collector_success", collector="host")
        assert agent.log.count("after a restart only: [sampler] window_seconds") == 1

        reload('[rdma]\ncounter = ["out_of_sequence"]\n')
        agent.wait_until(lambda: "settings stay as they were" in agent.log, "the mistake")
        assert agent.value(_VENDOR, counter="roce_slow_restart") == 5
        assert agent.status("/-/ready") == 200

        reload("")
        agent.wait_for_value(None, _VENDOR, counter="roce_slow_restart")
        agent.wait_for_value(1, "railwatch_agent_collector_success", collector="host")
        assert agent.value("railwatch_agent_fast_samples_total") > samples
        assert agent.value("railwatch_rail_present", rail="0") == 1
        assert agent.process.stop() == 0
