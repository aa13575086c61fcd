"""What an R function returned, as a value of Python: frames as pandas frames, the rest as JSON has it.

NULL is None. A vector of one element is that element, another a list; a list is a list; with names either is a dict.
NA is None, in frames a missing value. `I(x)` keeps a vector of one element a list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from refold.errors import BlockError
from refold.io.databases.arrow_tables import to_pandas
from refold.languages.r.xdr_writer import NA_INTEGER

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_NA_LOW_WORD = 1954
"""What tells NA from any other NaN."""


def returned(answer: object) -> object:
    """The value that the driver has taken apart. Raises BlockError for what cannot be one."""
    if answer is None:
        return None
    kind, *rest = cast("list[object]", answer)
    match _word(kind):
        case "frame":
            _rows, names, columns = rest
            return _frame(int(cast("NDArray[np.float64]", _rows)[0]), _texts(names), cast("list[object]", columns))
        case "list":
            names, elements = rest
            return _named(names, [returned(each) for each in cast("list[object]", elements)])
        case "vector":
            names, parts, keeps = rest
            values = values_of(parts)
            if names is None and len(values) == 1 and not _is_true(keeps):
                return values[0]
            return _named(names, values)
        case other:
            raise BlockError(f"R answered with `{other}`, which nobody knows")


def _word(value: object) -> str:
    return value if isinstance(value, str) else str(cast("list[str]", value)[0])


def _texts(value: object) -> list[str]:
    return [str(each) for each in cast("list[str | None]", value)]


def _is_true(value: object) -> bool:
    return bool(cast("NDArray[np.int32]", value)[0])


def _named(names: object, values: list[object]) -> object:
    """The values under their names, or as they are without any. Raises BlockError for names that say too little."""
    if names is None:
        return values
    words = _texts(names)
    if all(not word for word in words):
        return values
    if len(set(words)) < len(words) or "" in words:
        twice = next((word for word in words if words.count(word) > 1), "")
        what = f"two elements are called `{twice}`" if twice else "some elements have names and others have none"
        raise BlockError(f"returned a list in which {what}", fix="Give each element a name of its own, or none a name.")
    return dict(zip(words, values, strict=True))


def _frame(rows: int, names: Sequence[str], columns: Sequence[object]) -> object:
    import pandas as pd
    import pyarrow as pa

    for name in names:
        if names.count(name) > 1:
            raise BlockError(f"returned a data.frame with two columns `{name}`", fix="Rename one of them.")
    if not columns:
        return pd.DataFrame(index=pd.RangeIndex(rows))
    parts = {name: cast("list[object]", each) for name, each in zip(names, columns, strict=True)}
    frame = to_pandas(pa.table({name: array_of(each) for name, each in parts.items()}))
    for name, (kind, codes, levels) in parts.items():
        if _word(kind) in {"factor", "ordered"}:
            numbers = cast("NDArray[np.int32]", codes)
            frame[name] = pd.Categorical.from_codes(
                [each - 1 for each in numbers.clip(0).tolist()],
                pd.Index(_texts(levels)),
                ordered=_word(kind) == "ordered",
            )
    return frame


def values_of(parts: object) -> list[object]:
    """A vector as Python values, NA as None; Arrow is not loaded for what is common."""
    kind, data, _ = cast("list[object]", parts)
    match _word(kind):
        case "character":
            return cast("list[object]", data)
        case "logical":
            numbers = cast("NDArray[np.int32]", data).tolist()
            return [None if each == NA_INTEGER else each != 0 for each in numbers]
        case "integer":
            return [None if each == NA_INTEGER else each for each in cast("NDArray[np.int32]", data).tolist()]
        case "double":
            reals = cast("NDArray[np.float64]", data)
            missing = _is_na(reals).tolist()
            return [None if gone else each for each, gone in zip(reals.tolist(), missing, strict=True)]
        case _:
            values: list[object] = array_of(parts).to_pylist()
            return values


def array_of(parts: object) -> pa.Array:
    """A vector as an Arrow array, NA as null."""
    kind, data, extra = cast("list[object]", parts)
    return _READERS[_word(kind)](data, extra)


def _logicals(data: object, _extra: object) -> pa.Array:
    import pyarrow as pa

    values = cast("NDArray[np.int32]", data)
    return pa.array(values != 0, mask=values == NA_INTEGER)


def _integers(data: object, _extra: object) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    values = cast("NDArray[np.int32]", data)
    return pa.array(values.astype(np.int64), mask=values == NA_INTEGER)


def _reals(data: object, _extra: object) -> pa.Array:
    import pyarrow as pa

    values = cast("NDArray[np.float64]", data)
    return pa.array(values, mask=_is_na(values))


def _is_na(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    import numpy as np

    low_words = values.view(np.uint64) & np.uint64(0xFFFFFFFF)
    missing: NDArray[np.bool_] = np.isnan(values) & (low_words == np.uint64(_NA_LOW_WORD))
    return missing


def _characters(data: object, _extra: object) -> pa.Array:
    import pyarrow as pa

    return pa.array(cast("list[str | None]", data), pa.large_string())


def _factor(data: object, extra: object) -> pa.Array:
    import pyarrow as pa

    codes = cast("NDArray[np.int32]", data)
    levels = pa.array(cast("list[str | None]", extra), pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(codes - 1, pa.int32(), mask=codes == NA_INTEGER), levels)


def _dates(data: object, _extra: object) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    values = cast("NDArray[np.float64]", data)
    days = np.floor(np.where(np.isfinite(values), values, 0)).astype(np.int32)
    return pa.array(days, pa.int32(), mask=~np.isfinite(values)).cast(pa.date32())


def _microseconds(data: object) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    import numpy as np

    values = cast("NDArray[np.float64]", data)
    finite = np.isfinite(values)
    return np.round(np.where(finite, values, 0) * 1e6).astype(np.int64), ~finite


def _times(data: object, extra: object) -> pa.Array:
    import pyarrow as pa

    values, missing = _microseconds(data)
    return pa.array(values, pa.int64(), mask=missing).cast(pa.timestamp("us", _word(extra) or None))


def _durations(data: object, _extra: object) -> pa.Array:
    import pyarrow as pa

    values, missing = _microseconds(data)
    return pa.array(values, pa.int64(), mask=missing).cast(pa.duration("us"))


def _wide_integers(data: object, _extra: object) -> pa.Array:
    """Of the package bit64, which keeps whole numbers in the bytes of doubles."""
    import numpy as np
    import pyarrow as pa

    values = cast("NDArray[np.float64]", data).view(np.int64)
    return pa.array(values, mask=values == np.iinfo(np.int64).min)


def _bytes(data: object, _extra: object) -> pa.Array:
    import pyarrow as pa

    return pa.array([cast("bytes", data)], pa.large_binary())


def _lists(data: object, _extra: object) -> pa.Array:
    import pyarrow as pa

    values = [returned(each) for each in cast("list[object]", data)]
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise BlockError(
            f"returned a list column of values that differ in kind: {error}",
            fix="Return a list instead of a data.frame, or make the column's elements alike.",
        ) from error


_READERS: Mapping[str, Callable[[object, object], pa.Array]] = {
    "logical": _logicals,
    "integer": _integers,
    "double": _reals,
    "character": _characters,
    "factor": _factor,
    "ordered": _factor,
    "date": _dates,
    "datetime": _times,
    "duration": _durations,
    "integer64": _wide_integers,
    "raw": _bytes,
    "list": _lists,
}
