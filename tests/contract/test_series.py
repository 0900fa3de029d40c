"""How many series a node has: a Prometheus of ten thousand nodes pays for each."""

from railwatch.catalogue.metric import Scope
from railwatch.catalogue.rail import RAIL_CREDIT_WAIT, Fault
from railwatch.reference import counts_by_scope
from railwatch_agent.settings import COLLECTORS

_MOST_SERIES = 1000
_EACH = 8


def test_a_node_with_eight_rails_and_eight_gpus_has_at_most_a_thousand_series() -> None:
    """If all its hardware kept everything, and a job ran on each GPU.

    A rail is one of Ethernet or InfiniBand: the larger has all but what only InfiniBand counts.
    """
    each = counts_by_scope()
    # The inventory has a round as collectors have, and of the sampler errors are counted.
    collectors = len(COLLECTORS) + 1
    on_rails = _EACH * (each[Scope.RAIL] - RAIL_CREDIT_WAIT.series - len({Fault.LINK_RECOVERY}))
    on_gpus = _EACH * (each[Scope.GPU] + each[Scope.GPU_JOB])

    assert (
        each[Scope.NODE]
        + each[Scope.JOB]
        + on_rails
        + on_gpus
        + collectors * each[Scope.COLLECTOR]
        + 1
        <= _MOST_SERIES
    )
