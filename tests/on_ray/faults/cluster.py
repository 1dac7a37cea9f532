"""A cluster of three nodes on this machine, in a process of its own, which loses nodes and gets new ones at a word.

Usage: cluster.py TEMPORARY. Says its address; then a line each in and out: the process of a raylet, whose node is
killed and replaced; `left`, for the actors and placement groups that are there; nothing more, for its end.
"""

import json
import os
import sys
import time


def main(temporary: str) -> None:
    os.environ["RAY_TMPDIR"] = temporary
    os.makedirs(f"{temporary}/ray")
    import ray
    from ray.cluster_utils import Cluster

    worker = {"num_cpus": 2, "object_store_memory": 100 << 20}
    # Ray ends what a killed trainer leaves with the help of the dashboard, which clusters have unless they say no.
    head = {"num_cpus": 0, "include_dashboard": True, "object_store_memory": 100 << 20}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(**worker) for _ in range(2)]
    try:
        print(cluster.address, flush=True)
        for line in sys.stdin:
            if line.strip() == "left":
                ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
                deadline = time.monotonic() + 30
                while (there := left()) and time.monotonic() < deadline:
                    time.sleep(1)
                ray.shutdown()
                print(json.dumps(there), flush=True)
                continue
            (victim,) = (node for node in nodes if raylet_of(node) == int(line))
            nodes.remove(victim)
            cluster.remove_node(victim, allow_graceful=False)
            nodes.append(cluster.add_node(**worker))
            print("{}", flush=True)
    finally:
        cluster.shutdown()


def left() -> list[str]:
    """Returns the actors and placement groups that are there, but for the one actor that Ray Train keeps by itself."""
    import ray
    from ray.util import placement_group_table

    actors = [one["ActorClassName"] for one in ray._private.state.actors().values() if one["State"] != "DEAD"]
    groups = [one["name"] for one in placement_group_table().values() if one["state"] != "REMOVED"]
    return [name for name in actors if name != "_AutoscalingCoordinatorActor"] + [f"group {name!r}" for name in groups]


def raylet_of(node: object) -> int:
    """Returns the process of a node's raylet."""
    return int(node.all_processes["raylet"][0].process.pid)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(sys.argv[1])
