"""From words to commands: what is read, what is refused, and that the tables tell the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest

from refold.cli.app import REFOLD
from refold.cli.command_line import Command, CommandLine, Group
from refold.cli.endings import Exit
from refold.cli.mage_app import MAGE
from refold.cli.parameters import Argument, Option
from refold.cli.start import expects_workers

NAMES = [(line, name) for line in (REFOLD, MAGE) for name in line.every()]


@pytest.mark.parametrize(("line", "name"), NAMES, ids=[f"{line.program} {name}" for line, name in NAMES])
def test_a_command_is_where_the_table_says_and_does_what_it_says(
    capsys: pytest.CaptureFixture[str], line: CommandLine, name: str
) -> None:
    command = line.every()[name]
    assert (command.load().__doc__ or "").splitlines()[0] == command.summary
    *group, word = name.split()
    assert line.run([*group, "--help"]) == 0
    assert f"  {word} " in capsys.readouterr().out


def copy(
    source: Annotated[Path, Argument(metavar="SOURCE", help="What is copied.")],
    target: Annotated[str | None, Argument(metavar="TARGET", help="Where to.")] = None,
    times: Annotated[int | None, Option("--times", "-t", metavar="N", minimum=1, help="How often.")] = None,
    skip: Annotated[list[str] | None, Option("--skip", help="What is left; 100% yours.")] = None,
    force: Annotated[bool, Option("--force", help="Whatever is there.")] = False,
) -> None:
    """Copy something."""


def read(*words: str) -> dict[str, object]:
    return REFOLD.read("copy", copy, words)


def test_what_is_left_out_is_as_it_is_by_default() -> None:
    assert read("here") == {"source": Path("here"), "target": None, "times": None, "skip": None, "force": False}


@pytest.mark.parametrize(
    "words",
    [
        ("here", "there", "--times", "3", "--skip", "a", "--skip", "b", "--force"),
        ("--force", "-t", "3", "here", "--skip=a", "--skip=b", "there"),
        ("--skip", "a", "here", "--force", "there", "--times=3", "--skip", "b"),
    ],
)
def test_options_may_stand_anywhere(words: tuple[str, ...]) -> None:
    given = {"source": Path("here"), "target": "there", "times": 3, "skip": ["a", "b"], "force": True}
    assert read(*words) == given


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "required: SOURCE"),
        (("here", "--times", "0"), "0 is less than 1"),
        (("here", "--times", "many"), "`many` is not a whole number"),
        (("here", "--forc"), "it takes no --forc"),
        (("here", "there", "more"), "it takes no more"),
        (("here", "--skip"), "expected one argument"),
    ],
)
def test_what_a_command_does_not_take_is_refused(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    with pytest.raises(Exit, match="2"):
        read(*words)
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert "`refold copy --help` says what it takes." in error


def test_help_tells_each_parameter(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit, match="0"):
        read("--help")
    said = capsys.readouterr().out
    for part in ("refold copy", "Copy something.", "SOURCE", "--times N", "What is left; 100% yours."):
        assert part in said


def test_a_command_that_is_not_there_is_told_with_the_one_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert REFOLD.run(["rnu"]) == 2
    assert "there is no command `rnu`\n  Did you mean `run`?" in capsys.readouterr().err


GROUPED = CommandLine(
    "shop", "Sells.", {"cat": Group("Keep cats.", {"feed": Command(f"{__name__}:feed", "Feed a cat.")})}
)


def feed(cat: Annotated[str, Argument(metavar="CAT", help="Who is hungry.")]) -> None:
    """Feed a cat."""
    print(f"{cat} is fed")


def test_a_command_of_a_group_is_called_by_both_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert GROUPED.run(["cat", "feed", "Tom"]) == 0
    assert capsys.readouterr().out == "Tom is fed\n"
    assert GROUPED.run(["cat", "feed", "--help"]) == 0
    assert "usage: shop cat feed" in capsys.readouterr().out


def test_a_group_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert GROUPED.run(["cat"]) == 2
    bare = capsys.readouterr().out
    assert GROUPED.run(["cat", "--help"]) == 0
    assert bare == capsys.readouterr().out
    assert "usage: shop cat COMMAND ..." in bare
    assert "Keep cats." in bare
    assert "  feed  Feed a cat." in bare
    assert "  cat  Keep cats." in GROUPED.help()


def test_a_command_that_a_group_does_not_have_is_told_with_the_one_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert GROUPED.run(["cat", "fed"]) == 2
    error = capsys.readouterr().err
    assert "there is no command `fed`\n  Did you mean `feed`?\n  `shop cat --help` lists the commands." in error


def test_without_a_command_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert REFOLD.run([]) == 2
    assert capsys.readouterr().out == f"{REFOLD.help()}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in (("fan", "configuration: {dynamic: true}"), ("chain", "blocks: []")):
        (tmp_path / "pipelines" / name).mkdir(parents=True)
        (tmp_path / "pipelines" / name / "metadata.yaml").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("run {project} fan", True),
        ("run --json {project} fan --workers 2", True),
        ("run {project} chain", False),
        ("run {project} chain --executor processes", True),
        ("run {project} fan --executor inline", False),
        ("run {project} fan --executor=inline", False),
        ("run {project} fan --block-uuid load", False),
        ("run {project} fan --help", False),
        ("run {project} none_such", False),
        ("retry latest", True),
        ("show latest", False),
        ("", False),
    ],
)
def test_a_fork_server_is_started_for_what_is_likely_to_need_one(project: Path, words: str, expected: bool) -> None:
    assert expects_workers(words.format(project=project).split()) is expected
