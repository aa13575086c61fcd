from refold.api.pipeline import Pipeline as Pipeline
from refold.api.run_status import check_status as check_status
from refold.api.triggering import trigger_pipeline as trigger_pipeline
from refold.api.triggering import trigger_pipeline_async as trigger_pipeline_async
from refold.languages.python.decorators import callback as callback
from refold.languages.python.decorators import condition as condition
from refold.languages.python.decorators import custom as custom
from refold.languages.python.decorators import data_exporter as data_exporter
from refold.languages.python.decorators import data_loader as data_loader
from refold.languages.python.decorators import sensor as sensor
from refold.languages.python.decorators import test as test
from refold.languages.python.decorators import transformer as transformer
from refold.model.pipeline_metadata import PipelineType as PipelineType
from refold.model.project import Project as Project

__all__: list[str]
__version__: str
