"""How errors are printed."""

import pytest

from refold.cli.endings import error_text, note
from refold.errors import PipelineError, ProtocolError
from refold.io.secrets.masking import conceal


def test_an_error_says_what_where_and_what_to_do() -> None:
    error = PipelineError("there is no pipeline `a`", where="/p/pipelines", fix="Did you mean `b`?")
    assert error_text(error) == (
        "error: there is no pipeline `a`\n  where: /p/pipelines\n  Did you mean `b`?"
    )  # fmt: skip


def test_a_defect_asks_to_be_reported() -> None:
    assert "please report it" in error_text(ProtocolError("run 3 of block 1 completed twice"))


def test_no_error_and_no_note_shows_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    conceal("hunter22")
    error = PipelineError("bad hunter22", where="postgres://me:hunter22@db", fix="Not hunter22.")
    assert error_text(error) == "error: bad ***\n  where: postgres://me:***@db\n  Not ***."
    note("warning: hunter22")
    assert capsys.readouterr().err == "warning: ***\n"
