"""What TALLY_LOG may say."""

from pathlib import Path

import pytest

from ledger.errors import TallyError
from ledger.log.kafka.cluster import Cluster, cluster_of, parse_cluster
from ledger.log.topics import DERIVED, ENTRIES, STATE, TOPICS
from ledger.settings import Settings


@pytest.mark.parametrize(
    ("url", "cluster"),
    [
        ("kafka://one", Cluster(("one:9092",), "tally", "PLAINTEXT")),
        ("kafka://[::1]", Cluster(("[::1]:9092",), "tally", "PLAINTEXT")),
        ("kafka://one:1,two:2/staging", Cluster(("one:1", "two:2"), "staging", "PLAINTEXT")),
        (
            "kafka://ann:a%40b@one:1/x?security_protocol=SASL_PLAINTEXT&sasl_mechanism=PLAIN",
            Cluster(("one:1",), "x", "SASL_PLAINTEXT", "PLAIN", "ann", "a@b"),
        ),
        (
            "kafka://ann:pw@one:1?ssl_cafile=/ca.pem",
            Cluster(("one:1",), "tally", "SASL_SSL", "SCRAM-SHA-256", "ann", "pw", "/ca.pem"),
        ),
        (
            "kafka://one:1?security_protocol=SSL&ssl_cafile=/a&ssl_certfile=/b&ssl_keyfile=/c",
            Cluster(("one:1",), "tally", "SSL", None, None, None, "/a", "/b", "/c"),
        ),
    ],
)
def test_a_url_says_where_and_as_whom(url: str, cluster: Cluster) -> None:
    assert parse_cluster(url) == cluster
    assert "pw" not in repr(parse_cluster(url)) and "a@b" not in str(parse_cluster(url))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://one", "it has the form kafka://"),
        ("kafka://:9092", "it has the form kafka://"),
        ("kafka://one:port", "it has the form kafka://"),
        ("kafka://one?tls=1", "'tls'"),
        ("kafka://one?security_protocol=TLS", "security_protocol=TLS"),
        ("kafka://ann:secret@one?sasl_mechanism=MD5", "sasl_mechanism=MD5"),
        ("kafka://ann:secret@one?security_protocol=SSL", "security_protocol=SSL"),
        ("kafka://one?security_protocol=SASL_SSL", "security_protocol=SASL_SSL"),
    ],
)
def test_what_cannot_be_meant_is_told_without_the_password(url: str, said: str) -> None:
    with pytest.raises(TallyError) as told:
        parse_cluster(url)
    assert said in str(told.value) and "secret" not in str(told.value)


def test_several_logs_live_on_one_cluster() -> None:
    assert parse_cluster("kafka://one").topic(ENTRIES) == "tally.entries"
    assert parse_cluster("kafka://one/staging").topic(ENTRIES) == "staging.entries"


def test_generations_of_what_is_derived_have_names_of_their_own() -> None:
    first = parse_cluster("kafka://one")
    third = first._replace(generation=3)
    assert {topic: third.topic(topic) for topic in TOPICS if third.topic(topic) != first.topic(topic)} == {
        topic: f"{topic.name}.3" for topic in DERIVED
    }
    assert (third.topic(STATE), third.folds, first.folds) == ("tally.state.3", "tally-folds.3", "tally-folds")


def test_the_homes_own_broker_must_run(tmp_path: Path) -> None:
    with pytest.raises(TallyError, match="tally kafka serve"):
        cluster_of(Settings(home=tmp_path, log="kafka://"))
