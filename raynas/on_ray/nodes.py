"""The nodes of the cluster that is joined: what fits on them, what is missing, and whether more can come."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

AUTOSCALER_SECONDS = 10
"""Seconds that the cluster has to answer with the report of its autoscaler."""


@dataclass(frozen=True)
class Needs:
    """Resources that have to fit on a cluster at once.

    Attributes:
        key: The key of the run file that asks for them.
        who: Who needs them, as the beginning of a sentence.
        resources: Amounts by Ray's names: CPU, GPU, and the cluster's own resources.
        remedies: The remedy where one of them does not fit.
        bundle: The part that has to lie on one node; None if that is not known.
        number: Number of bundles.
    """

    key: str
    who: str
    resources: dict[str, float]
    remedies: dict[str, str]
    bundle: dict[str, float] | None = None
    number: int = 1


def fits_a_node(bundle: Mapping[str, float]) -> bool:
    """Returns whether a node that is there, or one that can come, holds a bundle of resources.

    Some autoscalers report their node types to Ray. Otherwise a node may come for any bundle that the autoscaler has
    not reported as infeasible.

    Args:
        bundle: Amounts by Ray's names that have to lie on one node, such as those of a training worker.
    """
    if any(times(bundle, node) for node in (*_nodes(), *_node_types())):
        return True
    return _may_grow(bundle)


def times(bundle: Mapping[str, float], room: Mapping[str, float]) -> int:
    """Returns how many times some resources hold a bundle."""
    return min((int(room.get(kind, 0.0) / amount) for kind, amount in bundle.items() if amount), default=1)


def _nodes() -> list[dict[str, float]]:
    """Returns the resources of every node that is there."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in nodes if node["Alive"]]


def _node_types() -> list[dict[str, float]]:
    """Returns the resources of each node type that an autoscaler has reported and may start."""
    from ray._private.state import state

    config = state.get_cluster_config()
    groups = config.node_group_configs if config is not None else ()
    return [dict(group.resources) for group in groups if group.max_count]


def _autoscaler() -> Any:
    """Returns the report of the cluster's autoscaler, as Ray's AutoscalingState; None if it cannot be read."""
    import ray
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply  # type: ignore[attr-defined]

    reply = GetClusterStatusReply()
    try:
        client = GcsClient(ray.get_runtime_context().gcs_address)
        reply.ParseFromString(client.get_cluster_status(timeout_s=AUTOSCALER_SECONDS))
    except (ray.exceptions.RayError, RuntimeError, OSError):
        return None
    return reply.autoscaling_state


def _may_grow(bundle: Mapping[str, float]) -> bool:
    """Returns whether an autoscaler runs that has not reported a bundle as infeasible."""
    reported = _autoscaler()
    if reported is None:
        return True  # unknown
    infeasible = [dict(report.resources_bundle) for report in reported.infeasible_resource_requests]
    return bool(reported.autoscaler_state_version) and dict(bundle) not in infeasible


def missing(needs: Needs) -> str:
    """Returns the resources that the cluster lacks, as text; empty if it lacks none.

    Nodes are counted one by one: eight machines of 4 CPUs hold no worker of 8.
    """
    nodes = _nodes()
    total: dict[str, float] = {}
    for node in nodes:
        for kind, amount in node.items():
            total[kind] = total.get(kind, 0.0) + amount
    lacking = [
        f"{math.ceil(amount - total.get(kind, 0.0))} more {kind}"
        for kind, amount in needs.resources.items()
        if amount > total.get(kind, 0.0)
    ]
    has_none = not any(total.get(kind) for kind in needs.resources)
    if lacking and (needs.bundle is None or has_none or fits_a_node(needs.bundle)):
        return " and ".join(lacking)
    if needs.bundle is None:
        return ""
    kinds = " and ".join(f"{amount:g} {kind}" for kind, amount in needs.bundle.items())
    room = sum(times(needs.bundle, node) for node in nodes)
    if not room:
        wanted = f"a node with {kinds} (the largest there is has {_held(needs.bundle, nodes)})"
        return wanted if fits_a_node(needs.bundle) else f"{wanted}, which is of no node type that can come"
    return f"nodes for {needs.number - room} more of {kinds} each" if room < needs.number else ""


def _held(bundle: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> str:
    """Returns the largest amount on one node of each resource of a bundle, as text."""
    amounts = []
    for kind in bundle:
        of_nodes = [node.get(kind, 0.0) for node in nodes]
        amounts.append(f"{max(of_nodes, default=0.0):g} {kind}")
    return " and ".join(amounts)
