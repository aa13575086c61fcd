"""SQL's text in pieces: literals, names and comments end where each database says, and statements at their `;`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.io.databases.sql_text import HOLE, Kind, content, dialect_of, statements, tokens

WORDS = ["postgres", "redshift", "duckdb", "mysql", "sqlite", "mssql", "snowflake", "bigquery", "clickhouse", "other"]


def split(text: str, provider: str = "postgres") -> list[str]:
    pieces = tokens(text, dialect_of(provider))
    return ["".join(token.text for token in statement).strip() for statement in statements(pieces)]


def kinds(text: str, provider: str = "postgres") -> list[tuple[Kind, str]]:
    return [(token.kind, token.text) for token in tokens(text, dialect_of(provider)) if token.kind is not Kind.SPACE]


@given(st.text(alphabet="'\"`[]$aE-/*\\; \n#.1e" + HOLE), st.sampled_from(WORDS))
def test_the_pieces_of_any_text_are_the_text(text: str, provider: str) -> None:
    pieces = tokens(text, dialect_of(provider))
    assert "".join(token.text for token in pieces) == text
    assert [token.start for token in pieces] == [text.index(token.text, token.start) for token in pieces]


@given(st.text(), st.sampled_from(WORDS))
def test_what_stands_in_quotes_is_read_as_it_was_meant(text: str, provider: str) -> None:
    dialect = dialect_of(provider)
    text = text.replace("\\", "/")  # whether it means itself the dialects do not agree on
    [literal] = tokens("'" + text.replace("'", "''") + "'", dialect)
    assert (literal.kind, content(literal, dialect)) == (Kind.STRING, text)
    quote = dialect.name_quotes[0]
    [name] = tokens(quote + text.replace(quote, quote * 2) + quote, dialect)
    assert (name.kind, content(name, dialect)) == (Kind.IDENTIFIER, text)


@pytest.mark.parametrize(
    ("provider", "literal", "meant"),
    [
        ("postgres", r"'a\'", "a\\"),
        ("postgres", r"E'a\'b\n\x41é'", "a'b\nAé"),
        ("postgres", "$tag$it's $$ ;$tag$", "it's $$ ;"),
        ("postgres", "$$a$$", "a"),
        ("duckdb", "e'a\\tb'", "a\tb"),
        ("mysql", r"'a\'b'", "a'b"),
        ("mysql", r"'50\% \_ \q'", r"50\% \_ q"),
        ("mysql", '"a""b\'c"', "a\"b'c"),
        ("sqlite", r"'a\'", "a\\"),
        ("postgres", "N'a'", "a"),
    ],
)
def test_escapes_are_each_databases_own(provider: str, literal: str, meant: str) -> None:
    dialect = dialect_of(provider)
    [token] = tokens(literal, dialect)
    assert token.kind is Kind.STRING
    assert content(token, dialect) == meant


@pytest.mark.parametrize("literal", ["X'0F'", "b'01'", "U&'d0061t'"])
def test_a_literal_of_bits_is_no_text(literal: str) -> None:
    dialect = dialect_of("postgres")
    with pytest.raises(ValueError, match="'"):
        content(tokens(literal, dialect)[0], dialect)


@pytest.mark.parametrize(
    ("provider", "text", "comments"),
    [
        ("postgres", "1 -- a ; 'b\n, 2", ["-- a ; 'b"]),
        ("postgres", "1 /* a /* b */ ; */ , 2", ["/* a /* b */ ; */"]),
        ("mysql", "1 /* a /* b */ , 2", ["/* a /* b */"]),
        ("mysql", "1--2 # c\n -- d\n--", ["# c", "-- d", "--"]),
        ("postgres", "1 # 2", []),
        ("snowflake", "1 // c", ["// c"]),
        ("postgres", "1 /* never closed ; ", ["/* never closed ; "]),
    ],
)
def test_comments_end_where_the_database_says(provider: str, text: str, comments: list[str]) -> None:
    assert [each for kind, each in kinds(text, provider) if kind is Kind.COMMENT] == comments


def test_names_in_quotes_are_each_databases_own() -> None:
    assert kinds('"a"', "postgres") == [(Kind.IDENTIFIER, '"a"')]
    assert kinds('"a"', "mysql") == [(Kind.STRING, '"a"')]
    assert kinds("`a``b`", "mysql") == [(Kind.IDENTIFIER, "`a``b`")]
    assert kinds("[a]]b]", "mssql") == [(Kind.IDENTIFIER, "[a]]b]")]
    assert kinds("[1]", "postgres") == [(Kind.SIGN, "["), (Kind.NUMBER, "1"), (Kind.SIGN, "]")]


def test_a_statement_ends_at_a_semicolon_that_is_no_part_of_anything() -> None:
    text = "SELECT ';', \";\", $$;$$ -- ;\n /* ; */; ; SELECT 2;; -- nothing more"
    assert split(text) == ["SELECT ';', \";\", $$;$$ -- ;\n /* ; */", "SELECT 2"]


def test_spaces_and_comments_alone_are_no_statement() -> None:
    assert split(" -- a\n /* b */ ; ;") == []


@pytest.mark.parametrize(
    ("provider", "routine"),
    [
        ("sqlite", "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE b SET c = CASE WHEN 1 THEN 2 END; SELECT 1; END"),
        (
            "mysql",
            (
                "CREATE PROCEDURE p() BEGIN IF a THEN SELECT 1; END IF; BEGIN SELECT 2; END; "
                "CASE a WHEN 1 THEN SELECT 3; END CASE; WHILE b DO SELECT 4; END WHILE; END"
            ),
        ),
        ("postgres", "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END"),
        ("postgres", "CREATE FUNCTION f() RETURNS int AS $$ BEGIN RETURN 1; END; $$ LANGUAGE plpgsql"),
    ],
)
def test_a_routine_is_one_statement(provider: str, routine: str) -> None:
    assert split(f"{routine}; SELECT 9", provider) == [routine, "SELECT 9"]


def test_a_transaction_is_as_many_statements_as_it_has() -> None:
    assert split("BEGIN; INSERT INTO a VALUES (1); END; SELECT 1") == [
        "BEGIN",
        "INSERT INTO a VALUES (1)",
        "END",
        "SELECT 1",
    ]
