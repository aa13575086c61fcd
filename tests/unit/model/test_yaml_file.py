"""YAML files are read as people wrote them, and what cannot be read names its line."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from refold.errors import PipelineError, ProjectError
from refold.model.yaml_file import YamlFile


def refused(text: str) -> str:
    with pytest.raises(PipelineError) as caught:
        YamlFile.parse(Path("metadata.yaml"), text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [1, 2\n", 3, "bad YAML"),
        ("a: 1\nb:\n\t- 1\n", 3, "Indent with spaces"),
        ("a: 1\nb: 2\na: 3\n", 3, "`a` is there twice"),
        ("m: {x: 1, x: 2}\n", 1, "`x` is there twice"),
        ("a: 1\nb: *nowhere\n", 2, "undefined alias"),
        ("a: 1\n  b: 2\n", 2, "indentation"),
        ("a: 1\nb: !!python/object/apply:os.system ['true']\n", 2, "tag `!!python/object/apply:os.system`"),
        ("a: !secret x\n", 1, "tag `!secret`"),
        ("a: !!binary aGk=\n", 1, "not allowed"),
        ("a: !!int x\n", 1, "`x` is no int"),
        ("a: \x00\x01\n", 1, "cannot stand in YAML"),
        ("- a\n- b\n", 1, "keys and values"),
        ("just words\n", 1, "keys and values"),
        ("a: 1\n---\nb: 2\n", 2, "another document"),
        ("a: &a [1, *a]\n", 1, "contains itself"),
        ("a: 1\nb:\n  <<: 5\n", 3, "merges mappings"),
        ("url: {{ env_var('X') }}/path\n", 1, "in quotes"),
    ],
)
def test_bad_yaml_names_file_line_and_trouble(text: str, line: int, words: str) -> None:
    message = refused(text)
    assert message.startswith(f"metadata.yaml:{line}: ")
    assert words in message


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_nesting_without_end_is_refused(opening: str) -> None:
    assert "nest deeper" in refused("x:\n  " + opening * 3000)


def test_a_billion_laughs_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "stand for more than" in refused("\n".join(lines))


def test_aliases_and_merges_are_read_as_copies() -> None:
    text = "base: &base {retries: 1, delay: 2}\none: *base\ntwo:\n  <<: *base\n  delay: 3\n"
    value = YamlFile.parse(Path("m"), text).value
    assert value["one"] == {"retries": 1, "delay": 2}
    assert value["one"] is not value["base"]
    assert value["two"] == {"retries": 1, "delay": 3}


def test_words_mean_what_they_mean_to_mage() -> None:
    text = (
        "a: yes\nb: off\nc: 010\nd: 1:30\ne: 2026-01-01\nf: ~\ng: 'yes'\nh: 1_000\ni: 0x1f\nj: -.inf\n7: seven\non: x\n"
    )
    assert YamlFile.parse(Path("m"), text).value == {
        "a": True, "b": False, "c": 8, "d": 90, "e": "2026-01-01", "f": None, "g": "yes", "h": 1000, "i": 31,
        "j": float("-inf"), "7": "seven", "on": "x",
    }  # fmt: skip


def test_a_value_in_bare_braces_does_not_stop_the_file() -> None:
    assert YamlFile.parse(Path("m"), "a: {{ env_var('X') }}\nb: 1\n").value["b"] == 1


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "\ufeff", "---\n"])
def test_an_empty_file_is_an_empty_mapping(text: str) -> None:
    assert YamlFile.parse(Path("m"), text).value == {}


def test_lines_are_those_of_keys_and_items() -> None:
    file = YamlFile.parse(Path("m"), "\ufeff# top\na:\n  b:\n\n  - x\n  - {c: 1,\n     d: 2}\ne: 007\n")
    assert [file.line(path) for path in [("a",), ("a", "b"), ("a", "b", 0), ("a", "b", 1, "d")]] == [2, 3, 5, 7]
    assert file.line(("a", "b", 9, "nowhere")) == 3
    assert file.word(("e",)) == "007"


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="does not exist"):
        YamlFile.load(tmp_path / "none.yaml", ProjectError)
    (tmp_path / "rubbish.yaml").write_bytes(b"a: 1\nb: \xff\xfe\n")
    with pytest.raises(PipelineError, match=r"rubbish.yaml:2"):
        YamlFile.load(tmp_path / "rubbish.yaml")
    with pytest.raises(PipelineError, match="cannot be read"):
        YamlFile.load(tmp_path)


def test_saving_keeps_mode_and_links_and_leaves_nothing_behind(tmp_path: Path) -> None:
    target, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    target.write_bytes(b"a: 1\r\n")
    target.chmod(0o640)
    link.symlink_to(target)
    YamlFile.load(link).with_value({"a": 2}).save()
    assert link.is_symlink()
    assert target.read_bytes() == b"a: 2\r\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.yaml", "real.yaml"]


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("a: 1\n")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(PipelineError, match="No space left"):
        YamlFile.load(path).with_value({"a": 2}).save()
    assert [each.read_text() for each in tmp_path.iterdir()] == ["a: 1\n"]


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000, ":".join(["1"] * 5000), "1." + "0" * 5000])
def test_a_number_that_nobody_can_write_again_is_an_error_in_few_words(number: str) -> None:
    said = refused(f"x: {number}")
    assert "a number of" in said
    assert len(said) < 200


def test_a_number_to_the_base_of_60_that_is_too_large_is_an_error() -> None:
    assert "is no int" in refused("x: " + ":".join(["1"] * 400))


def test_a_text_that_would_take_minutes_to_read_is_refused_at_once() -> None:
    assert "no more than 2,000,000 are read" in refused(f"x: '{'A' * 2_000_000}'")
