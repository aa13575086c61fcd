"""`from mage_ai.data_preparation.decorators import data_loader`, which guarded block files do."""

from refold.languages.python.decorators import (
    callback,
    condition,
    custom,
    data_exporter,
    data_loader,
    extension,
    on_failure,
    on_success,
    preprocesser,
    sensor,
    test,
    transformer,
)

__all__ = [
    "callback",
    "condition",
    "custom",
    "data_exporter",
    "data_loader",
    "extension",
    "on_failure",
    "on_success",
    "preprocesser",
    "sensor",
    "test",
    "transformer",
]
