"""What a node's properties say."""

from pathlib import Path

from tally.local_kafka.broker import Node, make_cluster_id, properties


def said(voters: dict[int, int], more: dict[str, str]) -> dict[str, str]:
    node = Node(min(voters), Path("/a, folder"), Path("/a, log"), 20_001, voters, overrides=more)
    return dict(line.split("=", 1) for line in properties(node).splitlines())


def test_one_node_keeps_one_copy_and_listens_on_loopback() -> None:
    one = said({1: 20_002}, {})
    assert one["listeners"] == "CLIENTS://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002"
    assert {value for name, value in one.items() if "replic" in name or ".isr" in name or "insync" in name} == {"1"}
    assert one["auto.create.topics.enable"] == "false"


def test_three_nodes_keep_three_copies_of_which_two_take_a_write() -> None:
    three = said({1: 20_002, 2: 20_003, 3: 20_004}, {})
    assert three["controller.quorum.voters"] == "1@127.0.0.1:20002,2@127.0.0.1:20003,3@127.0.0.1:20004"
    assert {value for name, value in three.items() if name.endswith("replication.factor")} == {"3"}
    assert three["min.insync.replicas"] == three["transaction.state.log.min.isr"] == "2"


def test_more_adds_and_replaces() -> None:
    more = said({1: 20_002}, {"auto.create.topics.enable": "true", "message.max.bytes": "2000000"})
    assert more["auto.create.topics.enable"] == "true" and more["message.max.bytes"] == "2000000"


def test_no_cluster_id_is_read_as_an_option() -> None:
    made = [make_cluster_id() for _ in range(1000)]
    assert not any(id.startswith("-") for id in made) and {len(id) for id in made} == {22}
