"""What the lab's tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.cluster import Cluster
from lab.job import Job

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A healthy cluster of four nodes and two rails."""
    with Cluster() as built:
        yield built


@pytest.fixture
def job(cluster: Cluster) -> Iterator[Job]:
    """A job on all nodes of `cluster`, in its second step or later."""
    with Job(cluster) as running:
        yield running
