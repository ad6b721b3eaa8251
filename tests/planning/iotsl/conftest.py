"""-"""

import pytest

from splitopt import plan


@pytest.fixture(scope="module")
def paper():
    return plan("iotsl-mnist")
