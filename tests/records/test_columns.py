"""The constructors of columns: name, type and value, each said once."""

import re
from pathlib import Path

import pytest

from testing.documents import ROOT
from unified_indexer.records.base.columns import Column, author, created, flag, json, key, subject, subject_cid, text

KEY = 'text COLLATE "C"'


@pytest.mark.parametrize(
    ("column", "kind", "value"),
    [
        (author("x_did"), f"{KEY} NOT NULL", "p_did"),
        (subject("x_uri"), f"{KEY} NOT NULL", "v_subject"),
        (subject("x_uri", required=False), KEY, "v_subject"),
        (subject_cid("x_cid"), "text", "v_subject_cid"),
        (created("x_at"), "timestamptz NOT NULL", "v_created_at"),
        (created("x_at", required=False), "timestamptz", "v_created_at"),
        (text("x"), "text", "v_rest ->> 'x'"),
        (text("x", "field", required=True), "text NOT NULL", "v_rest ->> 'field'"),
        (key("x_uri", "field"), KEY, "v_rest ->> 'field'"),
        (json("x"), "jsonb", "v_rest -> 'x'"),
        (json("x", "field", required=True), "jsonb NOT NULL", "v_rest -> 'field'"),
        (json("x", required=True, default="[]"), "jsonb NOT NULL DEFAULT '[]'", "v_rest -> 'x'"),
        (json("x", default="{}"), "jsonb NOT NULL DEFAULT '{}'", "coalesce(v_rest -> 'x', '{{}}')"),
    ],
)
def test_a_column_is_made_of_its_field(column: Column, kind: str, value: str) -> None:
    assert (column.type, column.value) == (kind, value)
    assert not column.optional


def test_a_flag_is_the_record_s_or_the_default() -> None:
    column = flag("x", "field", default="false", optional=True, needed="false")
    assert column.type == "boolean NOT NULL DEFAULT false"
    assert column.value == "coalesce((v_rest -> 'field')::boolean, false)"
    assert (column.optional, column.needed) == (True, "false")
    assert flag("x", required=True, default="true").value == "(v_rest -> 'x')::boolean"


def test_what_a_column_has_besides_is_passed_on() -> None:
    assert text("x", cleared="NULL").cleared == "NULL"
    assert json("x", optional=True).optional


@pytest.mark.parametrize("path", sorted((ROOT / "unified_indexer" / "records").glob("*.py")), ids=lambda path: path.stem)
def test_a_record_file_writes_no_such_column_by_hand(path: Path) -> None:
    by_hand = re.compile(r"""value="(v_rest ->>? '\w+'|v_subject|v_subject_cid|v_created_at)\"""")
    assert not by_hand.search(path.read_text(encoding="utf-8"))
