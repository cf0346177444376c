"""Figures of the Kubernetes provider, against the emulator of ``tests/kubernetes``. Each module is a program:

python -m tests.kubernetes.pod_network python -m bench.kubernetes.cold_start
python -m bench.kubernetes.fleet
python -m tests.kubernetes.pod_network python -m bench.kubernetes.outage
"""
