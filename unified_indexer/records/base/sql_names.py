"""The names that a record file may use in its SQL texts; it may use nothing else of the functions in `database/functions/`.

They are parameters and variables there; what else these functions declare may change at any time. Column values, `Effect.added`
and `Effect.written` are run by apply_commit, where a record is put. `Effect.removed` is run by the remove function of the type.
For a type with a unique key, its settle function runs `added` and `removed` too, for a record that gets or loses the key.
Besides: `{column}` is the value of the type's column, `{schema}` is where the record tables are; `t` is the row in `updated`,
`meets`, `record_uri`, `first` and `judged`; `r` is the row in `cid`.
"""

from typing import NamedTuple


class Name(NamedTuple):
    """One name: its meaning, and whether it also exists where a row is removed, and where a unique key is settled."""

    meaning: str
    removed: bool = False
    settled: bool = False


NAMES = {
    "p_did": Name("the DID of the account whose commit it is", removed=True),
    "p_rev": Name("the commit's rev"),
    "p_seq": Name("the commit's seq"),
    "p_at": Name("the commit's time; in `removed` null, unless a commit deletes the record", removed=True, settled=True),
    "v_uri": Name("the record's at-uri", removed=True, settled=True),
    "v_cid": Name("the record's CID; null where it is not known any more", settled=True),
    "v_subject": Name("`Row.subject`"),
    "v_subject_cid": Name("`Row.subject_cid`"),
    "v_created_at": Name("`Row.created_at`, or the commit's time where that is None"),
    "v_rest": Name("`Row.rest`, as jsonb"),
    "v_quiet": Name("it came with a whole repo, and notifies nobody; null otherwise", settled=True),
    "v_again": Name("in `added`: the row was there, and is replaced", settled=True),
    "p_new": Name(
        "in `removed`: the rest of the record that replaces this one; null where none does", removed=True, settled=True
    ),
    "v_left": Name("an int of the effect's own, for what it looks up", removed=True, settled=True),
    "v_quoted": Name("a text of the effect's own: the post that is quoted", removed=True),
    "v_gated": Name("of a post, in `added`: whether it has a thread gate (`RecordType.returning`)"),
    "v_intrudes": Name("of a post, in `added`: whether a thread gate forbids it"),
    "v_embeds": Name("of a post, in `added`: whether the gate of the post that it quotes forbids that"),
}
