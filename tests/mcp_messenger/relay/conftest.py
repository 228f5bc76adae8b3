import ssl

import pytest

pytest.register_assert_rewrite("tests.providers.contract", "tests.providers.harness")


@pytest.fixture(scope="session")
def tls() -> ssl.SSLContext:
    return ssl.create_default_context()
