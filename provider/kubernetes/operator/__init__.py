"""Operator mode: Function objects are what is wanted, and this makes Deployments, Services and autoscalers of them.

``reconciler`` brings one function to what its object says, however far off it is: nothing depends on having seen every
change. ``service`` runs it: caches fill a ``work_queue``, workers empty it. ``status`` is what an object is told about
itself. ``function_writer`` is the REST API's side: a deployment writes a Function object and waits until the operator
acted on it.

Deleting a Function deletes the rest: all of it is owned, and the cluster's garbage collector follows.
"""

from __future__ import annotations

from springtide.provider.kubernetes.operator.function_writer import FunctionWriter
from springtide.provider.kubernetes.operator.service import Operator, OperatorDeps, OperatorSettings, build

__all__ = ["FunctionWriter", "Operator", "OperatorDeps", "OperatorSettings", "build"]
