"""``springtide hpa``: a function's autoscaler as a manifest, for those who manage it by hand."""

from __future__ import annotations

import click
import yaml

from springtide.cli import stack, stack_source
from springtide.cli.commands.options import (
    NAMESPACE_VARIABLE,
    function_argument,
    namespace_option,
    stack_option,
    with_target,
)
from springtide.cli.target import Target
from springtide.cli.terminal_text import one_line
from springtide.provider.kubernetes.manifests.checks import cpu_problems
from springtide.provider.kubernetes.manifests.hpa import hpa_of
from springtide.provider.spec import FunctionSpec, spec_from_json
from springtide.runtime.errors import BadInput
from springtide.scaler.core import targets
from springtide.scaler.core.policy import OWNER, TYPE

HEADER = f"""\
# For: kubectl apply -f -
# The Kubernetes provider makes one like it by itself; it leaves this one alone where it was there first.
# The function keeps its label {TYPE}={targets.CPU.name}, so that alerts leave its replicas alone.
"""


@click.command()
@function_argument(metavar="FUNCTION")
@stack_option
@namespace_option
@with_target
def hpa(*, target: Target, name: str, stack_file: str | None, namespace: str | None) -> None:
    """Print the HorizontalPodAutoscaler of a function that scales by processor time.

    The function is that of a stack file (-f), or the one that is deployed.
    """
    if stack_file:
        spec = _of_stack(stack_file, target, name, namespace)
    else:
        spec = _deployed(target, name, namespace or target.environ.get(NAMESPACE_VARIABLE))
    manifest = hpa_of(spec, by_hand=True)
    if manifest is None:
        remedy = f"give it the label {TYPE}={targets.CPU.name}, and no {OWNER} but hpa"
        raise BadInput(f"{name} is not scaled by an HPA; {remedy}")
    if problems := cpu_problems(spec):
        raise BadInput(f"{name}: {problems[0]}")
    click.echo(HEADER + yaml.safe_dump(manifest, sort_keys=False), nl=False)


def _of_stack(file: str, target: Target, name: str, namespace: str | None) -> FunctionSpec:
    read = stack.read_each(
        stack_source.read(file),
        target.environ,
        stack.Overrides(namespace=namespace, default_namespace=target.environ.get(NAMESPACE_VARIABLE)),
    )
    for warning in read.warnings:
        click.echo(f"springtide: {one_line(warning)}", err=True)
    return read.named(name).wanted()


def _deployed(target: Target, name: str, namespace: str | None) -> FunctionSpec:
    with target.client() as client:
        value = client.function(name, namespace)
    return spec_from_json({**value, "service": value["name"]})
