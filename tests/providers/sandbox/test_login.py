"""QR code, pairing code and access code; time goes only when a test lets it."""

import socket

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from providers.errors import Forbidden, InvalidRequest, LoggedOut, Unreachable
from providers.events import Need, StateChanged
from providers.models import Draft
from providers.sandbox.provider import SandboxProvider
from providers.sandbox.settings import SandboxSettings
from providers.states import InstanceState
from tests.providers.sandbox.conftest import Sandbox

pytestmark = pytest.mark.anyio
WITH_PAGE = {"page": True, "auto_scan": False}


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(url)


async def act(provider: SandboxProvider, what: dict[str, object]) -> httpx.Response:
    """What a person does who came through the QR code."""
    assert provider.state.qr is not None
    async with httpx.AsyncClient(trust_env=False, follow_redirects=True) as client:
        page = await client.get(provider.state.qr.content)
        return await client.post(f"{page.url}acts", json=what)


async def test_the_qr_code_leads_to_the_page_where_the_device_is_linked(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.start(**WITH_PAGE, account_name="Shop Agent")
    assert provider.state.needs is Need.QR
    assert (await act(provider, {"act": "link"})).status_code == 200
    ready = await inbox.state(InstanceState.READY)
    assert ready.account is not None
    assert ready.account.name == "Shop Agent"
    assert inbox.states() == [InstanceState.STARTING, InstanceState.QR_READY, InstanceState.AUTHENTICATED, InstanceState.READY]


async def test_the_qr_code_is_renewed_after_60_seconds_and_then_every_20(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.start(**WITH_PAGE)
    contents: list[str] = []
    for sequence, lasts in ((1, 60), (2, 20), (3, 20)):
        event = await inbox.wait(StateChanged, lambda event: event.qr is not None and event.qr.sequence == sequence)  # noqa: B023  awaited within the turn
        assert event.qr is not None
        assert (event.qr.expires_at - event.qr.issued_at).total_seconds() == lasts
        assert event.qr.issued_at == sandbox.clock.now()
        contents.append(event.qr.content)
        sandbox.clock.go_on(lasts)
    assert len(set(contents)) == 3
    assert provider.state.state is InstanceState.QR_READY


async def test_an_expired_qr_code_leads_nowhere(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.start(**WITH_PAGE)
    first = provider.state.qr
    assert first is not None
    assert (await get(first.content)).status_code == 303
    sandbox.clock.go_on(60)
    await inbox.wait(StateChanged, lambda event: event.qr is not None and event.qr.sequence == 2)
    assert (await get(first.content)).status_code == 410


async def test_a_restart_needs_no_new_login_and_keeps_the_address_of_the_page(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.start(**WITH_PAGE)
    await act(provider, {"act": "link"})
    before = await inbox.state(InstanceState.READY)
    _, inbox = await sandbox.ready(**WITH_PAGE)
    assert inbox.states() == [InstanceState.STARTING, InstanceState.READY]
    assert await inbox.state(InstanceState.READY) == before
    assert before.reason is not None
    assert (await get(before.reason.rpartition(" ")[2])).status_code == 200


async def test_a_pairing_code_links_the_phone_number_it_was_asked_for(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.start(**WITH_PAGE)
    code = await provider.request_pairing_code("+49 (30) 555-0100")
    asked = await inbox.wait(StateChanged, lambda event: event.pairing_code is not None)
    assert (asked.pairing_code, asked.needs, asked.state) == (code, Need.PAIRING_CODE, InstanceState.QR_READY)
    wrong = await act(provider, {"act": "pair", "code": "AAAA-AAAA"})
    assert (wrong.status_code, wrong.json()["detail"]) == (409, "This is not the pairing code.")
    assert (await act(provider, {"act": "pair", "code": code.lower().replace("-", " ")})).status_code == 200
    ready = await inbox.state(InstanceState.READY)
    assert ready.account is not None
    assert ready.account.phone == "+49305550100"


async def test_a_pairing_code_expires(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.start(**WITH_PAGE)
    code = await provider.request_pairing_code("+15550100")
    sandbox.clock.go_on(180)
    assert provider._connection is not None
    with pytest.raises(Forbidden, match="No pairing code is valid now"):
        provider._connection.login.pair(code)
    await inbox.wait(StateChanged, lambda event: event.qr is not None and event.qr.sequence == 2 and event.pairing_code is None)


async def test_no_pairing_code_for_a_wrong_number_or_a_linked_account(sandbox: Sandbox) -> None:
    provider, _ = await sandbox.start(**WITH_PAGE)
    with pytest.raises(InvalidRequest, match="7 to 15 digits"):
        await provider.request_pairing_code("my phone")
    provider, _ = await sandbox.ready()
    with pytest.raises(InvalidRequest, match="it is ready"):
        await provider.request_pairing_code("+15550100")


async def test_an_access_code_logs_in_without_a_person(sandbox: Sandbox) -> None:
    _, inbox = await sandbox.ready(auto_scan=False, access_code="sandbox-not-a-real-code")
    assert inbox.states() == [InstanceState.STARTING, InstanceState.AUTHENTICATED, InstanceState.READY]


async def test_a_wrong_access_code_is_an_error_state_in_the_platforms_words(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.start(auto_scan=False, access_code="wrong-not-a-real-code")
    error = await inbox.state(InstanceState.ERROR)
    assert error.reason == "The sandbox refused the access code: it does not begin with 'sandbox-'."
    assert error.needs is Need.TOKEN
    with pytest.raises(LoggedOut):
        await provider.list_chats()


async def test_the_person_unlinks_and_a_new_start_shows_a_new_qr_code(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.start(**WITH_PAGE)
    await act(provider, {"act": "link"})
    ready = await inbox.state(InstanceState.READY)
    assert ready.reason is not None
    page = ready.reason.rpartition(" ")[2]
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.post(f"{page}acts", json={"act": "unlink"})).status_code == 200
        assert (await client.post(f"{page}acts", json={"act": "unlink"})).status_code == 409
        assert (await client.get(f"{page}state")).json()["state"] == "logged_out"
    gone = await inbox.state(InstanceState.LOGGED_OUT)
    assert gone.account is None
    with pytest.raises(LoggedOut):
        await provider.logout()
    provider, _ = await sandbox.start(**WITH_PAGE)
    assert provider.state.state is InstanceState.QR_READY


async def test_without_a_start_nothing_can_be_done(sandbox: Sandbox) -> None:
    provider = SandboxProvider(SandboxSettings(), sandbox.context)
    assert provider.state.state is InstanceState.CREATED
    with pytest.raises(Unreachable) as caught:
        await provider.send(Draft(client_id="1", chat_id="ann", text="hello"))
    assert not caught.value.maybe_sent
    with pytest.raises(Unreachable):
        await provider.request_pairing_code("+15550100")


async def test_a_folder_that_cannot_be_written_is_an_error_state(sandbox: Sandbox) -> None:
    sandbox.context.data_dir.write_text("a file is in the way")
    provider, inbox = await sandbox.start()
    assert "could not open its folder" in str((await inbox.state(InstanceState.ERROR)).reason)
    assert provider.state.state is InstanceState.ERROR


async def test_a_port_that_is_taken_is_an_error_state_when_it_was_asked_for(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        _, inbox = await sandbox.start(page=True, page_port=taken.getsockname()[1])
        await inbox.state(InstanceState.ERROR)


async def test_another_port_is_taken_when_the_last_one_is_not_free(sandbox: Sandbox) -> None:
    _, inbox = await sandbox.ready(page=True)
    address = str((await inbox.state(InstanceState.READY)).reason).rpartition(" ")[2]
    await sandbox.stop()
    with socket.create_server(("127.0.0.1", httpx.URL(address).port or 0)):
        _, inbox = await sandbox.ready(page=True)
    other = str((await inbox.state(InstanceState.READY)).reason).rpartition(" ")[2]
    assert httpx.URL(other).port != httpx.URL(address).port
    assert httpx.URL(other).path == httpx.URL(address).path


def test_settings_that_could_never_work_are_refused() -> None:
    with pytest.raises(ValidationError, match="nobody could scan"):
        SandboxSettings(page=False)
    with pytest.raises(ValidationError, match="at least one step"):
        SandboxSettings(persona="script")
    assert SandboxSettings.secret_fields() == {"access_code", "webhook_secret"}
    assert "hidden" not in repr(SandboxSettings(access_code=SecretStr("sandbox-hidden")))


async def test_a_code_is_right_or_wrong_whatever_characters_it_has(sandbox: Sandbox) -> None:
    provider, _ = await sandbox.start(**WITH_PAGE)
    running = provider._connection
    assert running is not None
    with pytest.raises(Forbidden):
        running.login.pair("ÄÖÜ-\ud83d")
    assert not running.login.is_current("")
    assert not running.login.is_current("\N{SNOWMAN}")
    assert provider.state.qr is not None
    word = provider.state.qr.content.rpartition("/")[2]
    assert running.login.is_current(word)
    sandbox.clock.go_on(60)
    assert not running.login.is_current(word)
