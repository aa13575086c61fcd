"""`from mage_ai.data_preparation.variable_manager import get_variable, set_global_variable`."""

from refold.api.variables import get_global_variable, get_global_variables, get_variable, set_global_variable

__all__ = ["get_global_variable", "get_global_variables", "get_variable", "set_global_variable"]
