"""DATABASE_URL as PostgreSQL's own programs are given it."""

import pytest

from unified_indexer.config.libpq import environment_of

CASES = {
    "postgresql://": {},
    "postgresql:///app": {"PGDATABASE": "app"},
    "postgresql://user:p%40w%3A@db.example:5433/a%20b": {
        "PGHOST": "db.example", "PGPORT": "5433", "PGUSER": "user", "PGPASSWORD": "p@w:", "PGDATABASE": "a b",
    },
    "postgresql://user@[::1]:6000,two/app?sslmode=require&target_session_attrs=primary": {
        "PGHOST": "::1,two", "PGPORT": "6000,", "PGUSER": "user", "PGDATABASE": "app", "PGSSLMODE": "require",
        "PGTARGETSESSIONATTRS": "primary",
    },
    "postgresql://unified@/app?host=/run/pg&port=5432&user=other": {
        "PGHOST": "/run/pg", "PGPORT": "5432", "PGUSER": "unified", "PGDATABASE": "app",
    },
    "postgresql://%2Frun%2Fpg/?dbname=app&password=secret": {
        "PGHOST": "/run/pg", "PGDATABASE": "app", "PGPASSWORD": "secret",
    },
    "postgresql://db/app?search_path=a,%20b&options=-c%20jit%3Doff&sslpassword=secret": {
        "PGHOST": "db", "PGDATABASE": "app", "PGOPTIONS": r"-c jit=off -c search_path=a,\ b",
    },
}  # fmt: skip


@pytest.mark.parametrize("url", CASES)
def test_libpq_is_told_what_the_url_says(url: str) -> None:
    assert environment_of(url) == CASES[url]
