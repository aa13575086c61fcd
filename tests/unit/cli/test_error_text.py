"""How errors are printed."""

from refold.cli.endings import error_text
from refold.errors import PipelineError, ProtocolError


def test_an_error_says_what_where_and_what_to_do() -> None:
    error = PipelineError("there is no pipeline `a`", where="/p/pipelines", fix="Did you mean `b`?")
    assert error_text(error) == (
        "error: there is no pipeline `a`\n  where: /p/pipelines\n  Did you mean `b`?"
    )  # fmt: skip


def test_a_defect_asks_to_be_reported() -> None:
    assert "please report it" in error_text(ProtocolError("run 3 of block 1 completed twice"))
