"""A private network in which every pod has an address of its own.

``namespace`` makes one around the current process; ``rerun`` lets a test folder run inside one, whoever started pytest;
``python -m tests.kubernetes.pod_network COMMAND...`` runs any command inside. A folder's ``conftest.py`` says

    pytest_runtest_protocol = inside_pod_network(Path(__file__).parent)
"""

from tests.kubernetes.pod_network.fixtures import pod_network
from tests.kubernetes.pod_network.rerun import inside_pod_network

__all__ = ["inside_pod_network", "pod_network"]
