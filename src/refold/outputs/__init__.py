"""The output store: what block runs returned and yielded, encoded, in chunks, and visible as files.

The engine and its workers see the port alone; whoever turns settings into adapters takes them from here.
"""

from refold.outputs.file_store import FileOutputStore
from refold.outputs.latest import read_latest
from refold.outputs.memory_store import MemoryOutputStore
from refold.outputs.segments import adopt_segment, adopted_from

__all__ = ["FileOutputStore", "MemoryOutputStore", "adopt_segment", "adopted_from", "read_latest"]
