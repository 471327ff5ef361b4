"""What every store of leases must do, as tests to run against a store of your own.

    from lambda_singleton_testkit import StoreContract

    class TestMyStore(StoreContract):
        def open_store(self):
            return MyStore(...)

pytest and unittest both collect it; neither is needed to import it.
"""

from .cases import CASES, Case
from .store_contract import StoreContract

__all__ = ["CASES", "Case", "StoreContract"]
