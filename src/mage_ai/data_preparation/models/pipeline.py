"""`from mage_ai.data_preparation.models.pipeline import Pipeline, PipelineType`."""

from refold.api.pipeline import Pipeline
from refold.model.pipeline_metadata import PipelineType

__all__ = ["Pipeline", "PipelineType"]
