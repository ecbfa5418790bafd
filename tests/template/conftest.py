"""One workshop for all tests of the template in a process."""

import pytest
from workshop import Workshop, open_workshop


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return open_workshop(tmp_path_factory.mktemp("a folder"))
