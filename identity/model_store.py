"""The trained models, named by the runs that published with them. Frequencies are keyed hashes: no values."""

import hashlib
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from identity.model import Model
from identity.statements import LIST_LIMIT, Reading, Statement

Frequency = tuple[str, bytes, float]
"""Column, keyed hash of a value, relative frequency among the records that have one."""

_CURRENT: Final = Statement("""
    SELECT m.model_version, m.model
    FROM runs r JOIN models m ON m.model_version = r.model_version
    WHERE r.status = 'published'
    ORDER BY r.version DESC, r.finished_at DESC
    LIMIT 1
""")

_CURRENT_VERSION: Final = Statement("""
    SELECT r.model_version
    FROM runs r JOIN models m ON m.model_version = r.model_version
    WHERE r.status = 'published'
    ORDER BY r.version DESC, r.finished_at DESC
    LIMIT 1
""")

_INSERT: Final = Statement("""
    INSERT INTO models (model_version, created_at, model) VALUES (:model_version, :now, :model)
    ON CONFLICT (model_version) DO NOTHING
""")

_INSERT_FREQUENCY: Final = Statement("""
    INSERT INTO model_frequencies (model_version, column_name, token, frequency)
    VALUES (:model_version, :column_name, :token, :frequency)
    ON CONFLICT (model_version, column_name, token) DO UPDATE SET frequency = excluded.frequency
""")

_FREQUENCIES: Final = Statement("""
    SELECT column_name, token, frequency FROM model_frequencies WHERE model_version = :model_version
""")

_SUPERSEDED: Final = Statement("""
    SELECT f.model_version, f.column_name, f.token
    FROM model_frequencies f
    WHERE f.model_version <> :model_version
""")

_DELETE_FREQUENCY: Final = Statement("""
    DELETE FROM model_frequencies
    WHERE model_version = :model_version AND column_name = :column_name AND token = :token
""")

_WITH_FREQUENCIES: Final = Statement("""
    SELECT m.model_version FROM models m
    WHERE EXISTS (SELECT 1 FROM model_frequencies f WHERE f.model_version = m.model_version)
""")

_KEPT: Final = Statement("""
    SELECT model_version, column_name, token FROM model_frequencies
    WHERE model_version = :model_version AND column_name = :column_name AND token IN :tokens
""")


def version_of(model: Model) -> str:
    """Return the name of a model: equal models have equal names."""
    return "model_" + hashlib.sha256(model.to_json().encode()).hexdigest()[:16]


def load_current(conn: Reading) -> tuple[str, Model] | None:
    """Return the model of the last published run, None if there is none or another release made it."""
    rows = _CURRENT.rows(conn)
    if not rows:
        return None
    try:
        return rows[0][0], Model.from_json(rows[0][1])
    except ValueError:
        return None


def current_version(conn: Reading) -> str | None:
    """Return the name of the model of the last published run."""
    rows = _CURRENT_VERSION.rows(conn)
    return rows[0][0] if rows else None


def frequencies(conn: Reading, model_version: str) -> dict[tuple[str, bytes], float]:
    """Return (column, keyed hash) -> frequency, for the online scorer."""
    rows = _FREQUENCIES.rows(conn, model_version=model_version)
    return {(column, bytes(token)): frequency for column, token, frequency in rows}


def save(conn: Connection, model: Model, now: int) -> None:
    """Store a model under its own name. Nothing uses it until a run is published that names it."""
    _INSERT.run(conn, model_version=version_of(model), now=now, model=model.to_json())


def save_frequencies(conn: Connection, rows: Sequence[tuple[str, str, bytes, float]]) -> None:
    """Store frequencies, each row with its model's name first."""
    _INSERT_FREQUENCY.many(conn, rows)


def superseded_frequencies(conn: Connection, model_version: str) -> list[tuple[str, str, bytes]]:
    """Return the keys of frequencies that any other model left behind: no score uses them any more."""
    return _SUPERSEDED.rows(conn, model_version=model_version)


def delete_frequencies(conn: Connection, keys: Sequence[tuple[str, str, bytes]]) -> None:
    """Delete frequencies by the keys that `superseded_frequencies` gave."""
    _DELETE_FREQUENCY.many(conn, keys)


def keeps_any(conn: Connection) -> bool:
    """Whether any model keeps frequencies."""
    return bool(_WITH_FREQUENCIES.rows(conn))


def kept(conn: Connection, column: str, tokens: Sequence[bytes]) -> list[tuple[str, str, bytes]]:
    """Return the keys of the frequencies that any model keeps under `tokens` of a column."""
    found: list[tuple[str, str, bytes]] = []
    for (model_version,) in _WITH_FREQUENCIES.rows(conn):
        for at in range(0, len(tokens), LIST_LIMIT):
            part = list(tokens[at : at + LIST_LIMIT])
            rows = _KEPT.rows(conn, model_version=model_version, column_name=column, tokens=part)
            found += [(version, name, bytes(token)) for version, name, token in rows]
    return found
