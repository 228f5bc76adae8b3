"""All checks of what the settings name: by the server of these settings, or in its place where none answers."""

from collections.abc import Sequence

from db.diagnosis import Diagnosis
from mcp_messenger.checks.address import check_keys, check_public_url
from mcp_messenger.checks.agents import check_agents
from mcp_messenger.checks.engine import check_engine
from mcp_messenger.checks.finding import Finding
from mcp_messenger.checks.folder import check_folder, check_key
from mcp_messenger.checks.instances import Patient, check_states, check_webhooks
from mcp_messenger.checks.room import check_backups, check_room
from mcp_messenger.checks.store import check_store
from mcp_messenger.config import Config


async def examine(config: Config, patients: Sequence[Patient] | None = None) -> list[Finding]:
    """Return what is found; `patients` are the instances, None: those in the database."""
    store, diagnosis = await check_store(config)
    if patients is None:
        patients = _patients(diagnosis)
    return [
        *store,
        *check_folder(config),
        *await check_room(config, diagnosis.room if diagnosis else None),
        *await check_backups(config),
        *check_key(config, diagnosis.sealed if diagnosis else []),
        *check_keys(config),
        *await check_public_url(config),
        *await check_engine(config, [patient.runtime for patient in patients]),
        *check_states(patients),
        *await check_agents(config),
        *await check_webhooks(config, patients),
    ]


def _patients(diagnosis: Diagnosis | None) -> list[Patient]:
    if diagnosis is None:
        return []
    return [Patient(str(one.id), one.provider, one.runtime, one.status, one.status_reason, one.webhooks) for one in diagnosis.instances]
