"""What the lab's tests share; on a machine without root or iproute2 they say so and are skipped."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lab.cluster import Cluster, missing
from lab.job import Job

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A healthy cluster of four nodes and two rails."""
    lacking = missing()
    # CI leaves nothing out: there the test goes on, and fails on what is missing.
    if lacking and os.environ.get("CI") != "true":
        pytest.skip(lacking)
    with Cluster() as built:
        yield built


@pytest.fixture
def job(cluster: Cluster) -> Iterator[Job]:
    """A job on all nodes of `cluster`, in its second step or later."""
    with Job(cluster) as running:
        yield running
