"""Tables of plain text."""

from collections.abc import Iterator
from itertools import count, islice

from refold.cli.text_table import one_line, table_lines


def test_columns_line_up_and_numbers_stand_to_the_right() -> None:
    assert list(table_lines(("block", "runs"), [("load", "1"), ("clean_rows", "1,000")], frozenset({1}))) == [
        "block        runs",
        "load            1",
        "clean_rows  1,000",
    ]


def test_a_table_begins_before_its_last_row_is_known() -> None:
    def endless() -> Iterator[tuple[str]]:
        for number in count():
            yield (str(number),)

    assert list(islice(table_lines(("n",), endless()), 3)) == ["n", "0", "1"]


def test_an_error_of_many_lines_takes_one() -> None:
    assert one_line("ValueError: a\n  b\tc", 40) == "ValueError: a b c"
    assert one_line("x" * 50, 10) == "xxxxxxx..."
