# SPDX-License-Identifier: Apache-2.0
"""Answers of an analyzer, as `/api/v1/links` and `/api/v1/findings` give them."""

from typing import Any

LINE_RATE = 50e9


def link(node: str = "node0", rail: str = "0", **changes: object) -> dict[str, Any]:
    """Return a healthy link at 90 % of 400 Gbit/s, with *changes*."""
    healthy = {
        "node": node,
        "rail": rail,
        "device": f"mlx5_{rail}",
        "job_id": "job1",
        "verdict": "normal",
        "score": 0.1,
        "transmit_max_bytes_per_second": 0.9 * LINE_RATE,
        "receive_max_bytes_per_second": 0.9 * LINE_RATE,
        "speed_bytes_per_second": LINE_RATE,
        "learning_seconds": 0.0,
        "note": "",
    }
    return {**healthy, **changes}


def fleet(nodes: int = 12, rails: int = 2) -> list[dict[str, Any]]:
    """Return the healthy links of *nodes* with *rails* each."""
    return [link(f"node{node}", str(rail)) for node in range(nodes) for rail in range(rails)]


def status(links: list[dict[str, Any]], **changes: object) -> dict[str, Any]:
    """Return what `/api/v1/links` answers after a round at 14:03:25 UTC."""
    answer = {
        "time": 1_700_057_005.0,
        "rounds": 42,
        "round_errors": 0,
        "complaint": "",
        "trained": True,
        "nodes_seen": len({link["node"] for link in links}),
        "nodes_missed": 0,
        "window_seconds": 5.0,
        "links": links,
    }
    return {**answer, **changes}


def finding(node: str = "node10", rail: str = "1", **changes: object) -> dict[str, Any]:
    """Return a capped transmitter, with the other end of its edge as the second candidate."""
    here = {"node": node, "rail": rail, "device": f"mlx5_{rail}"}
    other = {"node": "node11", "rail": rail, "device": f"mlx5_{rail}"}
    rate = "bytes_per_second"
    capped = {
        "id": "0123456789abcdef",
        "time": 1_700_057_005.0,
        "onset": 1_700_056_990.0,
        "kind": "link_degraded",
        "state": "firing",
        **here,
        "job_id": "job1",
        "cause": "bandwidth",
        "score": 3.32,
        "candidates": [{**here, "weight": 0.51}, {**other, "weight": 0.49}],
        "evidence": [
            _evidence(f"transmit_window_top_decile_{rate}", 15.6e9, 45e9, rate),
            _evidence("queue_occupied_ratio", 0.66, 0.12, "ratio"),
        ],
    }
    return {**capped, **changes}


def _evidence(feature: str, observed: float, expected: float, unit: str) -> dict[str, Any]:
    return {"feature": feature, "observed": observed, "expected": expected, "unit": unit}
