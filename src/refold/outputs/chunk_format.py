"""The bytes of a chunk: records of outputs or items, laid out so that opening one makes no object per record.

All numbers are in the byte order of the machine that wrote them; a reader of the other order refuses the version.

    offset    size             field
    0         4                magic: b"RfCh"
    4         4                version: 2
    8         4                CRC-32 of the header from offset 12 up to the body, begun with the version
    12        4                CRC-32 of the body
    16        4                R: how many records
    20        4                V: how many values
    24        8                length of the body
    32        8 * V            ends: where each value ends in the body, were there no commas
    ...       4 * R            firsts: number of each record's first value
    ...       4 * R            extents: an output's elements; the number of a row in its frame; 1 for an item
    ...       R                kinds: what each record is (below)
    ...       V                codecs: one of `refold.outputs.codecs` each
    ...                        body: the values, one after another, each with a comma after it

So JSON values that lie side by side are, but for its brackets, one JSON list, which is read at once. In version 1 no
comma comes after a value, and the CRC of the header begins with 0.

    kind           its values, from its first one on
    VALUE          the value that was returned
    LIST           the whole list as one JSON value
    SPREAD_LIST    each element of the list: some element is not JSON
    TUPLE          each element of the tuple
    ITEM           the item
    NAMED_ITEM     the item, then its metadata
    ROW            the frame whose row it is; all rows of a frame share it
    NAMED_ROW      the same; the metadata of row r is the value 1 + r after the frame

The header is checked when a chunk is opened, the body when a value is first read: counting elements reads no data.
"""

from __future__ import annotations

import struct
from typing import Final

VALUE: Final = 0
LIST: Final = 1
SPREAD_LIST: Final = 2
TUPLE: Final = 3
ITEM: Final = 4
NAMED_ITEM: Final = 5
ROW: Final = 6
NAMED_ROW: Final = 7

MAGIC = b"RfCh"
VERSION = 2
CRC_BEGINS = {1: 0, 2: 2}
"""For each version that can be read, what the CRC of its header begins with."""
HEAD = struct.Struct("=4sIIIIIQ")
CHECKED_FROM = 12
"""Where that begins which the header's CRC is of."""
COMMA = b","
