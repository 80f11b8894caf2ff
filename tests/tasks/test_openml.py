"""Prefetching through the real client, from a local server that answers as OpenML's does."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from metahpo.exceptions import DataError, StoreError
from metahpo.tasks.cache import cached_keys, read_sidecar, read_task

openml = pytest.importorskip("openml")
# The client's parsers announce what later versions of pandas and of the client itself will do.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

ARFF = """@RELATION fruit
@ATTRIBUTE id NUMERIC
@ATTRIBUTE weight NUMERIC
@ATTRIBUTE colour {{red,green}}
@ATTRIBUTE class {{apple,pear}}
@ATTRIBUTE price NUMERIC
@DATA
{rows}
"""
ROWS = "\n".join(
    f"{i},{'?' if i % 5 == 0 else i / 2},{'red' if i % 2 else 'green'},{'apple' if i % 3 else 'pear'},{i * 1.5}"
    for i in range(12)
)
CONTENT = {
    1: ARFF.format(rows=ROWS),
    2: ARFF.format(rows=ROWS),
    3: ARFF.format(rows="\n".join(f"{i},1.0,red,apple,{i}" for i in range(12))),  # one class
}
TASKS = {11: (1, "class"), 12: (2, "price"), 13: (3, "class")}
XMLNS = 'xmlns:oml="http://openml.org/openml"'


def description(url: str, data_id: int) -> str:
    checksum = hashlib.md5(CONTENT[data_id].encode()).hexdigest()
    return (
        f"<oml:data_set_description {XMLNS}><oml:id>{data_id}</oml:id><oml:name>fruit{data_id}</oml:name>"
        "<oml:version>1</oml:version><oml:description>Fruit.</oml:description><oml:format>ARFF</oml:format>"
        f"<oml:licence>CC0</oml:licence><oml:url>{url}/download/{data_id}</oml:url><oml:file_id>{data_id}</oml:file_id>"
        "<oml:default_target_attribute>class</oml:default_target_attribute>"
        "<oml:row_id_attribute>id</oml:row_id_attribute><oml:status>active</oml:status>"
        f"<oml:md5_checksum>{checksum}</oml:md5_checksum></oml:data_set_description>"
    )


def features() -> str:
    kinds = {"id": "numeric", "weight": "numeric", "colour": "nominal", "class": "nominal", "price": "numeric"}
    values = {"colour": ("red", "green"), "class": ("apple", "pear")}
    text = "".join(
        f"<oml:feature><oml:index>{i}</oml:index><oml:name>{name}</oml:name><oml:data_type>{kind}</oml:data_type>"
        + "".join(f"<oml:nominal_value>{v}</oml:nominal_value>" for v in values.get(name, ()))
        + f"<oml:is_target>{str(name == 'class').lower()}</oml:is_target><oml:is_ignore>false</oml:is_ignore>"
        f"<oml:is_row_identifier>{str(name == 'id').lower()}</oml:is_row_identifier>"
        f"<oml:number_of_missing_values>{3 if name == 'weight' else 0}</oml:number_of_missing_values></oml:feature>"
        for i, (name, kind) in enumerate(kinds.items())
    )
    return f"<oml:data_features {XMLNS}>{text}</oml:data_features>"


def task(task_id: int) -> str:
    data_id, target = TASKS[task_id]
    kind, number = ("Supervised Classification", 1) if target == "class" else ("Supervised Regression", 2)
    return (
        f"<oml:task {XMLNS}><oml:task_id>{task_id}</oml:task_id><oml:task_name>t</oml:task_name>"
        f"<oml:task_type_id>{number}</oml:task_type_id><oml:task_type>{kind}</oml:task_type>"
        f'<oml:input name="source_data"><oml:data_set><oml:data_set_id>{data_id}</oml:data_set_id>'
        f"<oml:target_feature>{target}</oml:target_feature></oml:data_set></oml:input>"
        '<oml:input name="estimation_procedure"><oml:estimation_procedure><oml:id>1</oml:id>'
        "<oml:type>crossvalidation</oml:type><oml:data_splits_url>none</oml:data_splits_url>"
        '<oml:parameter name="number_repeats">1</oml:parameter>'
        '<oml:parameter name="number_folds">10</oml:parameter></oml:estimation_procedure></oml:input>'
        '<oml:input name="evaluation_measures"><oml:evaluation_measures><oml:evaluation_measure>x'
        "</oml:evaluation_measure></oml:evaluation_measures></oml:input></oml:task>"
    )


def suite() -> str:
    tasks = "".join(f"<oml:task_id>{i}</oml:task_id>" for i in TASKS)
    return (
        f"<oml:study {XMLNS}><oml:id>99</oml:id><oml:alias>fruits</oml:alias>"
        "<oml:main_entity_type>task</oml:main_entity_type><oml:name>Fruits</oml:name>"
        "<oml:description>All fruit.</oml:description><oml:status>active</oml:status>"
        "<oml:creation_date>2026-01-01</oml:creation_date><oml:creator>1</oml:creator>"
        f"<oml:tasks>{tasks}</oml:tasks></oml:study>"
    )


class OpenMLServer(ThreadingHTTPServer):
    """Answers like OpenML's XML API; fails as often as `failures` says, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.failures: list[str] = []
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str) -> tuple[int, str]:
        match path.removeprefix("/api/v1/xml/").strip("/").split("/"):
            case ["study", "fruits" | "99"]:
                return 200, suite()
            case ["task", number] if int(number) in TASKS:
                return 200, task(int(number))
            case ["data", "features", number] if int(number) in CONTENT:
                return 200, features()
            case ["data", number] if int(number) in CONTENT:
                return 200, description(self.url, int(number))
            case ["download", number] if int(number) in CONTENT:
                return 200, CONTENT[int(number)]
        return 412, f"<oml:error {XMLNS}><oml:code>999</oml:code><oml:message>Unknown thing</oml:message></oml:error>"


class Answers(BaseHTTPRequestHandler):
    server: OpenMLServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        failure = self.server.failures.pop(0) if self.server.failures else None
        if failure == "hang up":
            self.close_connection = True
            return
        status, text = (503, "<html><p>busy</html>") if failure == "busy" else self.server.answer(self.path)
        body = text.replace("12", "13").encode() if failure == "garble" else text.encode()
        body = gzip.compress(body)
        self.send_response(status)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[OpenMLServer]:
    server = OpenMLServer()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(server: OpenMLServer, cache: Path, **what: Any) -> dict[int, str]:
    from metahpo.tasks.openml import prefetch

    url = f"{server.url}/api/v1/xml"
    return {f.data_id: f.outcome for f in prefetch(cache, server=url, first_wait_seconds=0.01, **what)}


def test_a_suite_becomes_tasks_of_our_cache(server: OpenMLServer, tmp_path: Path) -> None:
    outcomes = fetch(server, tmp_path, suite="fruits")
    assert outcomes[1] == outcomes[2] == "fetched"
    assert outcomes[3].startswith("not usable: classification needs at least two classes")
    assert cached_keys(tmp_path) == ["1", "2"]
    fruit = read_task(tmp_path, "1")
    assert (fruit.kind, fruit.classes, fruit.data_id, fruit.name) == ("classification", ("apple", "pear"), 1, "fruit1")
    assert fruit.numeric == ("weight", "price")  # the row id is no feature
    assert fruit.categorical == ("colour",)
    np.testing.assert_array_equal(fruit.X["weight"][:3], [np.nan, 0.5, 1.0])
    price = read_task(tmp_path, "2")
    assert price.kind == "regression"
    assert price.categorical == ("colour", "class")
    assert price.y.tolist() == [i * 1.5 for i in range(12)]
    about = read_sidecar(tmp_path, "1")
    assert {k: v for k, v in about.items() if k not in ("sha256", "source")} == {
        "data_id": 1, "name": "fruit1", "kind": "classification", "family": "fruit1", "target": "class", "n_rows": 12,
        "n_features": 3, "n_classes": 2, "categorical": ["colour"], "n_missing": 3, "licence": "CC0",
    }  # fmt: skip


def test_what_is_cached_is_not_asked_for_again(server: OpenMLServer, tmp_path: Path) -> None:
    assert fetch(server, tmp_path, data_ids=[1]) == {1: "fetched"}
    server.asked.clear()
    assert fetch(server, tmp_path, data_ids=[1]) == {1: "cached"}
    assert server.asked == []
    assert fetch(server, tmp_path, data_ids=[1, 2]) == {1: "cached", 2: "fetched"}
    assert not any("/1" in path.removeprefix("/api/v1") for path in server.asked)


@pytest.mark.parametrize("failure", ["busy", "hang up", "garble"])
def test_a_passing_failure_is_asked_again(server: OpenMLServer, tmp_path: Path, failure: str) -> None:
    server.failures = ["", "", failure] if failure == "garble" else [failure, failure]
    assert fetch(server, tmp_path, data_ids=[1]) == {1: "fetched"}
    assert read_task(tmp_path, "1").n_rows == 12


def test_a_lasting_failure_keeps_what_was_fetched(server: OpenMLServer, tmp_path: Path) -> None:
    fetch(server, tmp_path, data_ids=[1])
    server.failures = ["busy"] * 50
    with pytest.raises(StoreError, match=r"dataset 2 could not be fetched in 4 tries: .* start the same command again"):
        fetch(server, tmp_path, data_ids=[1, 2])
    assert cached_keys(tmp_path) == ["1"]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"data_ids": [77]}, "OpenML does not give dataset 77: .*Unknown thing"),
        ({"task_ids": [77]}, "OpenML does not give task 77"),
        ({"suite": "vegetables"}, "OpenML does not give suite 'vegetables'"),
        ({}, "nothing to fetch: give the name of a suite"),
    ],
)
def test_what_the_server_does_not_have_is_named(server: OpenMLServer, tmp_path: Path, what: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fetch(server, tmp_path, **what)


def test_the_client_is_left_as_it_was(server: OpenMLServer, tmp_path: Path) -> None:
    before = openml.config.get_config_as_dict()
    fetch(server, tmp_path, data_ids=[1])
    with pytest.raises(DataError):
        fetch(server, tmp_path, data_ids=[77])
    assert json.dumps(openml.config.get_config_as_dict(), default=str) == json.dumps(before, default=str)


def test_a_cache_that_cannot_be_made_is_named(server: OpenMLServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"the dataset cache .* cannot be created"):
        fetch(server, tmp_path / "file", data_ids=[1])


def test_the_command_line_tells_what_became_of_each(
    server: OpenMLServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from metahpo.cli import main

    arguments = ["prefetch", "--cache", str(tmp_path), "--server", f"{server.url}/api/v1/xml", "--task-ids", "11", "13"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1: fetched"
    assert lines[1].startswith("3: not usable: ")
    assert main([*arguments[:-2], "77"]) == 1
    assert "OpenML does not give task 77" in capsys.readouterr().err
