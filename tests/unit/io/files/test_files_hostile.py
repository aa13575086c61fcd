"""Files made to harm whoever reads them: they are refused, and reach neither other files nor the network."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from refold.errors import FileStoreError
from refold.io.files.files import FileIO

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMB = f'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY l0 "ha">{LAUGHS}]><r><row><a>&l9;</a></row></r>'
QUADRATIC = f'<!DOCTYPE r [<!ENTITY x "{"x" * 50_000}">]><r><row><a>{"&x;" * 50_000}</a></row></r>'
PARSERS = ["etree", "lxml"]


def _refused(path: Path, words: str, **options: object) -> None:
    with pytest.raises(FileStoreError, match=words) as failure:
        FileIO().load(path, **options)  # type: ignore[arg-type]
    assert str(path) in str(failure.value)
    assert "s3cret" not in str(failure.value)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("document", [BOMB, QUADRATIC], ids=["laughs", "quadratic"])
def test_entities_are_not_unfolded(document: str, parser: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(document)
    _refused(tmp_path / "a.xml", "declares the entity", parser=parser)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "latin-1"])
@pytest.mark.parametrize("parser", PARSERS)
def test_they_are_not_in_other_encodings_either(encoding: str, parser: str, tmp_path: Path) -> None:
    document = BOMB.replace('"1.0"', f'"1.0" encoding="{encoding.removesuffix("-sig").removesuffix("-be")}"')
    (tmp_path / "a.xml").write_bytes(document.encode(encoding))
    _refused(tmp_path / "a.xml", "declares the entity|is not XML", parser=parser)
    _refused(tmp_path / "a.xml", "declares the entity|is not", parser=parser, encoding="utf-16")


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    "declaration",
    [
        '<!ENTITY x SYSTEM "file://{secret}">',
        '<!ENTITY x SYSTEM "{secret}">',
        '<!ENTITY x SYSTEM "http://127.0.0.1:9/x">',
        '<!ENTITY % x SYSTEM "{secret}"> %x;',
        '<!ENTITY x PUBLIC "x" "{secret}">',
    ],
)
def test_files_and_addresses_are_not_read_by_entities(declaration: str, parser: str, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("s3cret")
    declared = declaration.format(secret=tmp_path / "secret.txt")
    (tmp_path / "a.xml").write_text(f"<!DOCTYPE r [{declared}]><r><row><a>&x;</a></row></r>")
    _refused(tmp_path / "a.xml", "declares the entity", parser=parser)


@pytest.mark.parametrize("parser", PARSERS)
def test_declarations_elsewhere_are_not_read(parser: str, tmp_path: Path) -> None:
    (tmp_path / "a.dtd").write_text('<!ENTITY x "s3cret">')
    (tmp_path / "a.xml").write_text(f'<!DOCTYPE r SYSTEM "{tmp_path}/a.dtd"><r><row><a>&x;</a></row></r>')
    _refused(tmp_path / "a.xml", "points to a file elsewhere", parser=parser)


@pytest.mark.parametrize("parser", PARSERS)
def test_other_files_are_not_included(parser: str, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("s3cret")
    include = f'<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="{tmp_path}/secret.txt" parse="text"/>'
    (tmp_path / "a.xml").write_text(f"<r><row><a>{include}</a><b>1</b></row></r>")
    assert "s3cret" not in FileIO().load(tmp_path / "a.xml", parser=parser).to_csv()


@pytest.mark.parametrize("parser", PARSERS)
def test_ordinary_xml_is_read(parser: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(
        '<?xml version="1.0" encoding="latin-1"?><!DOCTYPE r><!-- x --><r><row i="1"><a>&lt;é&#38;</a></row></r>',
        "latin-1",
    )
    assert FileIO().load(tmp_path / "a.xml", parser=parser).to_dict("list") == {"i": [1], "a": ["<é&"]}
    assert FileIO().load(tmp_path / "a.xml", parser=parser, xpath=".//row").shape == (1, 2)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252"])
@pytest.mark.parametrize("parser", PARSERS)
def test_a_document_says_its_own_encoding(encoding: str, parser: str, tmp_path: Path) -> None:
    declared = encoding.removesuffix("-sig").removesuffix("-le")
    document = f'<?xml version="1.0" encoding="{declared}"?><r><row><a>é</a></row></r>'
    (tmp_path / "a.xml").write_bytes(document.encode(encoding))
    assert FileIO().load(tmp_path / "a.xml", parser=parser)["a"].tolist() == ["é"]
    (tmp_path / "b.xml").write_bytes(document.split("?>")[1].encode(encoding))
    assert FileIO().load(tmp_path / "b.xml", parser=parser, encoding=encoding)["a"].tolist() == ["é"]


def test_nesting_without_end_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<a>" * 5_000)
    _refused(tmp_path / "a.xml", "cannot be read as xml")
    (tmp_path / "a.json").write_text("[" * 100_000)
    _refused(tmp_path / "a.json", "cannot be read as json")


def _workbook(sheet: bytes) -> bytes:
    file = io.BytesIO()
    pd.DataFrame({"a": ["x"]}).to_excel(file, index=False)
    new = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as changed:
        for part in old.namelist():
            changed.writestr(part, sheet if part.endswith("sheet1.xml") else old.read(part))
    return new.getvalue()


def test_a_workbook_that_unfolds_without_measure_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(_workbook(b"<x>" + b" " * 210_000_000))
    assert (tmp_path / "a.xlsx").stat().st_size < 300_000
    _refused(tmp_path / "a.xlsx", "would unfold")


def test_entities_in_a_workbook_are_not_unfolded(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(_workbook(BOMB.encode()))
    _refused(tmp_path / "a.xlsx", "cannot be read as excel")


def test_a_pickle_is_never_loaded_whatever_it_is_called(tmp_path: Path) -> None:
    import pickle

    harm = b"cos\nsystem\n(S'touch " + str(tmp_path / "harmed").encode() + b"'\ntR."
    pickle.loads(harm.replace(b"touch ", b"true "))
    for name in ("a.pkl", "a.csv", "a.parquet", "a.json", "a.xlsx", "a.feather", "a.xml", "a.csv.zip"):
        (tmp_path / name).write_bytes(harm)
        for wanted in (None, "hdf5"):
            with suppress(FileStoreError):
                FileIO().load(tmp_path / name, wanted)
    assert not (tmp_path / "harmed").exists()
