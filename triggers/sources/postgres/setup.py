"""The publication, which says what is told, and the slot, which keeps it until it is delivered.

Both are made where they are missing. What cannot be made, or would do harm, is told as the SQL that somebody who may
has to run. The publication comes first: the slot reads the log by what was published at the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
import structlog
from psycopg import sql

from springtide.runtime.errors import BadInput
from springtide.triggers.sources.postgres.connection import Connection
from springtide.triggers.sources.postgres.pgoutput import Action
from springtide.triggers.sources.postgres.rows import ANY, Topic

PLUGIN = "pgoutput"
KEYED = frozenset((Action.UPDATE, Action.DELETE))
"""Postgres refuses these for a table that is published and has nothing to know a row by."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """What there is; tables with their schemas."""

    tables: frozenset[tuple[str, str]]
    actions: frozenset[Action]


async def prepare(connection: Connection, *, publication: str, slot: str, topics: Sequence[Topic]) -> None:
    """Raises BadInput, naming what is wrong and the SQL to run."""
    level = await _one(connection, "SHOW wal_level")
    if level != "logical":
        raise BadInput(
            f"wal_level is {level}, and changes of rows are told with logical only; run ALTER SYSTEM SET wal_level = "
            "logical; and start the server again"
        )
    published = await _published(connection, publication)
    if published is None:
        await _publish(connection, publication, topics)
    else:
        _check(published, publication, topics)
    await _slot(connection, slot)


async def _published(connection: Connection, publication: str) -> Published | None:
    cursor = await connection.execute(
        "SELECT pubinsert, pubupdate, pubdelete, pubtruncate FROM pg_publication WHERE pubname = %s", [publication]
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    cursor = await connection.execute(
        "SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = %s", [publication]
    )
    tables = frozenset((schema, table) for schema, table in await cursor.fetchall())
    return Published(tables, frozenset(action for action, told in zip(Action, row, strict=True) if told))


def _check(published: Published, publication: str, topics: Sequence[Topic]) -> None:
    """Somebody made it, and it is theirs: it is not altered."""
    missing = [topic for topic in topics if topic.table != ANY and not _has(published, topic)]
    if missing:
        names = ", ".join(topic.relation for topic in missing)
        tables = ", ".join(quoted(topic.schema, topic.table) for topic in missing)
        raise BadInput(
            f"topics: the publication {publication} has no table {names}; run ALTER PUBLICATION {quoted(publication)} "
            f"ADD TABLE {tables};"
        )
    asked = {topic.action for topic in topics if topic.action}
    if untold := asked - published.actions:
        every = ", ".join(action for action in Action if action in published.actions | asked)
        raise BadInput(
            f"topics: the publication {publication} does not tell of {', '.join(sorted(untold))}; run ALTER "
            f"PUBLICATION {quoted(publication)} SET (publish = '{every}');"
        )


def _has(published: Published, topic: Topic) -> bool:
    return any(topic.table == table and topic.schema in ("", schema) for schema, table in published.tables)


async def _publish(connection: Connection, publication: str, topics: Sequence[Topic]) -> None:
    """No more than was asked for: publishing updates of a table without a key would make them fail."""
    name = sql.Identifier(publication)
    if not topics or any(topic.table == ANY for topic in topics):
        raise BadInput(
            f"publication: there is no {publication}; name tables in topics, or run CREATE PUBLICATION "
            f"{quoted(publication)} FOR ALL TABLES; after which tables without a primary key take no updates"
        )
    actions = [action for action in Action if any(action in topic.actions for topic in topics)]
    for topic in topics:
        await _check_table(connection, topic, KEYED.intersection(actions))
    tables = sql.SQL(", ").join({topic.relation: _identifier(topic) for topic in topics}.values())
    create = sql.SQL("CREATE PUBLICATION {} FOR TABLE {} WITH (publish = {})").format(
        name, tables, sql.Literal(", ".join(actions))
    )
    try:
        await connection.execute(create)
    except psycopg.errors.DuplicateObject:  # another copy was faster
        return
    except psycopg.errors.InsufficientPrivilege as error:
        raise BadInput(
            f"publication: there is no {publication}, and this user may not make it ({_words(error)}); let the owner "
            f"of the tables run {create.as_string(connection)};"
        ) from None
    _log.info("a publication is made", publication=publication, tables=tables.as_string(connection))


async def _check_table(connection: Connection, topic: Topic, keyed: frozenset[Action]) -> None:
    cursor = await connection.execute(
        "SELECT relreplident::text, EXISTS (SELECT FROM pg_index WHERE indrelid = pg_class.oid AND indisprimary) "
        "FROM pg_class WHERE oid = to_regclass(%s)",
        [_identifier(topic).as_string(connection)],
    )
    row = await cursor.fetchone()
    if row is None:
        raise BadInput(f"topics: there is no table {topic.relation}; make it, or see url and the user's search_path")
    identity, has_key = row
    if keyed and (identity == "n" or (identity == "d" and not has_key)):
        raise BadInput(
            f"topics: {topic.relation} has no primary key, so its updates and deletes would fail once they are "
            f"published; write {topic.relation}:insert and publish no others, or run ALTER TABLE "
            f"{quoted(topic.schema, topic.table)} REPLICA IDENTITY FULL;"
        )


async def _slot(connection: Connection, slot: str) -> None:
    await _check_rights(connection, slot)
    while True:
        cursor = await connection.execute(
            "SELECT plugin, database, database = current_database(), wal_status FROM pg_replication_slots "
            "WHERE slot_name = %s",
            [slot],
        )
        row = await cursor.fetchone()
        if row is not None:
            break
        await _make_slot(connection, slot)
    plugin, database, is_here, status = row
    if plugin != PLUGIN or not is_here:
        of = f"the plugin {plugin}" if plugin != PLUGIN else f"the database {database}"
        raise BadInput(f"slot: {slot} is one of {of}; name another one")
    if status == "lost":
        raise BadInput(
            f"slot: the server has removed what {slot} had not read yet (max_slot_wal_keep_size); changes are lost. "
            f"Run SELECT pg_drop_replication_slot('{slot}'); and it is made anew"
        )


async def _check_rights(connection: Connection, slot: str) -> None:
    """Who has neither attribute may be allowed to by the server of a cloud: it is asked for a slot that cannot be."""
    question = "SELECT (rolsuper OR rolreplication)::text FROM pg_roles WHERE rolname = current_user"
    if await _one(connection, question) == "true":
        return
    try:
        await connection.execute("SELECT pg_replication_slot_advance('no-slot', '0/1')")
    except psycopg.errors.InsufficientPrivilege as error:
        raise BadInput(
            f"slot: this user may neither make nor read {slot} ({_words(error)}); run ALTER ROLE "
            f"{quoted(connection.info.user)} REPLICATION;"
        ) from None
    except psycopg.errors.UndefinedObject:
        return


async def _make_slot(connection: Connection, slot: str) -> None:
    """Waits for the transactions that are open."""
    try:
        await connection.execute("SELECT pg_create_logical_replication_slot(%s, %s)", [slot, PLUGIN])
    except psycopg.errors.DuplicateObject:
        return
    except psycopg.errors.ConfigurationLimitExceeded as error:
        raise BadInput(f"slot: {slot} cannot be made: {_words(error)}; see max_replication_slots") from None
    _log.info("a replication slot is made; changes from now on are told", slot=slot)


async def _one(connection: Connection, question: str) -> str:
    row = await (await connection.execute(question.encode())).fetchone()
    assert row is not None
    return str(row[0])


def _identifier(topic: Topic) -> sql.Identifier:
    return sql.Identifier(*filter(None, (topic.schema, topic.table)))


def quoted(*names: str) -> str:
    """As it has to be written in SQL."""
    return sql.Identifier(*filter(None, names)).as_string(None)


def _words(error: psycopg.Error) -> str:
    return " ".join(str(error).split())
