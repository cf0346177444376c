"""The ``log`` subresource: which container's log, and how much of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from tests.kubernetes.emulator.node.container import Container
from tests.kubernetes.emulator.node.logs import LogQuery, since
from tests.kubernetes.emulator.objects import Object, dig, name_of, parse_time
from tests.kubernetes.emulator.options import flag, whole
from tests.kubernetes.emulator.statuses import ApiError, bad_request


def chosen(pod: Object, query: Mapping[str, str]) -> str:
    """The name of the container. Raises ApiError 400."""
    names = [one["name"] for one in pod["spec"]["containers"]]
    wanted = query.get("container", "")
    if not wanted and len(names) > 1:
        raise bad_request(
            f"a container name must be specified for pod {name_of(pod)}, choose one of: [{' '.join(names)}]"
        )
    if wanted and wanted not in names:
        raise bad_request(f"container {wanted} is not valid for pod {name_of(pod)}")
    return str(wanted or names[0])


def log_query(query: Mapping[str, str]) -> LogQuery:
    """Raises ApiError."""
    seconds, moment, tail = whole(query, "sinceSeconds"), query.get("sinceTime", ""), whole(query, "tailLines")
    limit = whole(query, "limitBytes")
    if seconds is not None and moment:
        raise _invalid("only one of sinceTime or sinceSeconds may be specified")
    if seconds is not None and seconds < 1:
        raise _invalid("sinceSeconds: must be greater than 0")
    if tail is not None and tail < 0:
        raise _invalid("tailLines: must be greater than or equal to 0")
    if limit is not None and limit < 1:
        raise _invalid("limitBytes: must be greater than 0")
    try:
        start = parse_time(moment) if moment else since(seconds) if seconds else None
    except ValueError as error:
        raise bad_request(f'parsing time "{moment}" as "2006-01-02T15:04:05Z07:00": cannot parse') from error
    return LogQuery(
        follow=flag(query, "follow"),
        tail=tail,
        since=start,
        timestamps=flag(query, "timestamps"),
        limit_bytes=limit,
    )


def read(pod: Object, container: Container | None, name: str, query: Mapping[str, str]) -> AsyncGenerator[bytes]:
    """Raises ApiError 400 where there is no log yet."""
    wanted = log_query(query)
    previous = flag(query, "previous")
    run = None if container is None else container.previous_log if previous else container.log
    if run is not None:
        return run.read(wanted)
    if previous:
        why = f'previous terminated container "{name}" in pod "{name_of(pod)}" not found'
        raise bad_request(why)
    statuses = dig(pod, "status", "containerStatuses", default=[])
    reason = next((dig(one, "state", "waiting", "reason") for one in statuses if one["name"] == name), None)
    raise bad_request(
        f'container "{name}" in pod "{name_of(pod)}" is waiting to start: {reason or "ContainerCreating"}'
    )


def _invalid(why: str) -> ApiError:
    return ApiError(422, "Invalid", f'PodLogOptions "" is invalid: {why}')
