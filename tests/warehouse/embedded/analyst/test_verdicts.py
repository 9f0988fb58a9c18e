"""The verdicts on ClickHouse's names against the names that the engine has, and every name tried on a marked file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.warehouse.conftest import Front
from tests.warehouse.embedded.analyst import names
from tests.warehouse.embedded.analyst.statements import ALLOWED, ALSO_ALLOWED, CONTROLS, FORMATS
from tests.warehouse.requests import as_analyst, as_writer
from warehouse.embedded.analyst import verdicts
from warehouse.embedded.analyst.verdicts import ENGINE_NAMES, HIGHER_ORDER, Verdicts, read_verdicts

MARK = "the-content-of-a-file"
KINDS = tuple(ENGINE_NAMES)


def engine_names(front: Front, kind: str) -> list[str]:
    return as_writer(front, f"{ENGINE_NAMES[kind]} FORMAT TSVRaw").text.splitlines()


@pytest.mark.parametrize("kind", KINDS)
def test_every_name_of_the_engine_is_judged_and_no_other(front: Front, kind: str) -> None:
    found = engine_names(front, kind)
    assert found
    unjudged, unknown = verdicts.compare(read_verdicts(kind), found)
    assert (unjudged, unknown) == ([], []), "python -m warehouse.embedded.analyst.verdicts prints them: judge each"


def test_a_name_that_nobody_has_judged_is_printed() -> None:
    judged = Verdicts({"sum": "aggregates", "lambda": verdicts.SYNTAX}, {"file": "reads files"})
    assert verdicts.compare(judged, ["sum", "file", "readMind"]) == (["readMind"], [])
    assert verdicts.compare(judged, ["sum"]) == ([], ["file"])
    done = subprocess.run(
        [sys.executable, "-m", "warehouse.embedded.analyst.verdicts"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_a_name_in_two_groups_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "FOLDER", tmp_path)
    allow, refuse = '[[allow]]\ngroup = "a"\nnames = "sum, max"\n', '[[refuse]]\nbecause = "b"\nnames = "max"\n'
    (tmp_path / "functions.toml").write_text(allow + refuse)
    with pytest.raises(ValueError, match=r"functions.toml: max is both allowed and refused: leave it in one group"):
        read_verdicts("functions")
    (tmp_path / "functions.toml").write_text(allow + allow)
    with pytest.raises(ValueError, match=r"sum is judged twice .*leave it in one group"):
        read_verdicts("functions")


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_has_one_verdict_in_any_case(kind: str) -> None:
    """The engine finds many names in any case, and so they are compared in lower case."""
    judged = read_verdicts(kind)
    assert not {name.lower() for name in judged.allowed} & {name.lower() for name in judged.refused}


def test_another_name_of_a_function_has_its_verdict(front: Front) -> None:
    rows = as_writer(front, "SELECT name, alias_to FROM system.functions WHERE alias_to != '' FORMAT TSVRaw").text
    functions, aggregates = read_verdicts("functions"), read_verdicts("aggregates")
    refused = functions.refused.keys() | aggregates.refused.keys()
    judged = refused | functions.allowed.keys() | aggregates.allowed.keys()
    pairs = [pair for row in rows.splitlines() if judged.issuperset(pair := row.split("\t"))]
    assert len(pairs) > 200
    assert [pair for pair in pairs if len({name in refused for name in pair}) > 1] == []
    allowed = functions.allowed.keys() | aggregates.allowed.keys()
    assert not {name.lower() for name in refused} & {name.lower() for name in allowed}


def test_functions_that_take_a_function_are_those_of_the_engine(front: Front) -> None:
    found = set(as_writer(front, "SELECT name FROM system.functions WHERE higher_order FORMAT TSVRaw").text.split())
    judged = read_verdicts("functions")
    assert {name for name, group in judged.allowed.items() if group == HIGHER_ORDER} == found - judged.refused.keys()


NO_TREE = "does not support JSON serialization"


def test_a_tree_leaves_nothing_of_a_statement_out(front: Front) -> None:
    """What is judged is the tree, so a statement written from its tree is the statement."""
    from_tree = "formatQueryFromJSON(parseQueryToJSON(unhex({sql:String})))"
    texts = f"SELECT formatQuerySingleLine(unhex({{sql:String}})), formatQuerySingleLine({from_tree})"
    judged = 0
    for statement in ALLOWED + ALSO_ALLOWED + FORMATS + CONTROLS:
        said = as_writer(front, f"{texts} FORMAT JSONCompactEachRow", param_sql=statement.encode().hex())
        if said.status == 200:
            sent, written = json.loads(said.text)
            assert sent == written
            judged += 1
        else:
            assert NO_TREE in said.text or said.code == "62", said
    assert judged > 80


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("marked") / "secrets.json"
    path.write_text(MARK)
    return str(path)


def all_names(front: Front) -> list[str]:
    kinds = ("functions", "aggregates", "table_functions", "formats", "types", "system_tables")
    found = {name for kind in kinds for name in engine_names(front, kind) if " " not in name}
    return sorted(found | {"joinGet", "catboostEvaluate", "reverseDNSQuery", "hasColumnInTable", "NoSuchName"})


def keep_the_file(front: Front, statement: str) -> None:
    """Ask as an analyst. What the file holds is not in the answer, in clear or as hexadecimal."""
    said = as_analyst(front, statement, param_x="1")
    answer = said.text.lower()
    assert MARK not in answer and MARK.encode().hex() not in answer, statement
    assert front.process.poll() is None, statement


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2, 3))])
def test_no_name_anywhere_reads_a_file(front: Front, marked: str, seed: int) -> None:
    for statement in names.sample(all_names(front), marked, seed, 500):
        keep_the_file(front, statement)
    assert as_analyst(front, "SELECT 1").text == "1\n"


@pytest.mark.parametrize(
    "name", ["file", "structureToProtobufSchema", "structureToCapnProtoSchema", "format", "values"]
)
def test_the_names_that_were_found_read_no_file_anywhere(front: Front, marked: str, name: str) -> None:
    for statement in names.statements([name], marked):
        keep_the_file(front, statement)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("share", range(16))
def test_no_name_at_all_reads_a_file(front: Front, marked: str, share: int) -> None:
    """The full matrix, in shares."""
    for statement in names.every_place(all_names(front)[share::16], marked):
        keep_the_file(front, statement)
    assert as_analyst(front, "SELECT 1").text == "1\n"
