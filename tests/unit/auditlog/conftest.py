from __future__ import annotations
import pytest
from gateway.storage.engine import open_storage, Tx
from gateway.storage import migrate
@pytest.fixture
def storage(tmp_path):
    url=f"sqlite:///{tmp_path}/x.db"
    migrate.upgrade(url)
    s=open_storage(url)
    yield s
    s.close()
