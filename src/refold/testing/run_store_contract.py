"""What every run store promises, as tests to inherit: a new store proves itself with a subclass and one fixture.

    class TestMyRunStore(RunStoreContract):
        @pytest.fixture
        def open_store(self) -> Iterator[OpenStore]: ...  # refold.testing.run_store_samples

Stores that several processes can share inherit `refold.testing.run_store_sharing_contract.SharedRunStoreContract`, too,
which adds what only then can go wrong.
"""

from __future__ import annotations

from refold.testing.run_store_cache_contract import CacheContract
from refold.testing.run_store_failures_contract import FailuresContract
from refold.testing.run_store_folds_contract import FoldsContract
from refold.testing.run_store_plans_contract import PlansContract
from refold.testing.run_store_rows_contract import RowsContract
from refold.testing.run_store_runs_contract import RunsContract


class RunStoreContract(RunsContract, PlansContract, RowsContract, FailuresContract, FoldsContract, CacheContract):
    """All promises of any run store."""
