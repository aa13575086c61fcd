"""Files, here and in object stores, as frames."""
