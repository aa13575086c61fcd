"""Refold: data pipelines that unfold at runtime and fold back exactly.

    from refold import Pipeline
    Pipeline.get("flights", "path/to/project").execute_sync()

What is named here is loaded when it is first used, so that `import refold` costs nothing; their types
are in `__init__.pyi`, so that the package's root imports none of its floors.
"""

from __future__ import annotations

from importlib import import_module

_HOMES = {
    "Pipeline": "refold.api.pipeline",
    "PipelineType": "refold.model.pipeline_metadata",
    "Project": "refold.model.project",
    "check_status": "refold.api.run_status",
    "trigger_pipeline": "refold.api.triggering",
    "trigger_pipeline_async": "refold.api.triggering",
    **dict.fromkeys(
        ("callback", "condition", "custom", "data_exporter", "data_loader", "sensor", "test", "transformer"),
        "refold.languages.python.decorators",
    ),
}

__all__ = [
    "Pipeline",
    "PipelineType",
    "Project",
    "__version__",
    "callback",
    "check_status",
    "condition",
    "custom",
    "data_exporter",
    "data_loader",
    "sensor",
    "test",
    "transformer",
    "trigger_pipeline",
    "trigger_pipeline_async",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = import_module("importlib.metadata").version("refold")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
