"""Exports and imports: files, not JSON."""

import tempfile
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from starlette.responses import StreamingResponse

from mcp_messenger.api.rest.routes import Routes, app_of, respond
from mcp_messenger.operations.exporting import Export
from mcp_messenger.operations.importing import ImportData
from mcp_messenger.operations.operation import Input, Operation, Transport
from mcp_messenger.operations.table import BY_NAME
from mcp_messenger.security.caller import Caller

ZIP = "application/zip"
EXPORTS = ("export_instance", "export_chat", "export_contact", "export_person", "export_user")
IMPORT = "import_data"


def add_transfers(routes: Routes) -> None:
    """Make the routes of exports, which answer with a file, and that of imports, whose body is one."""
    for name in EXPORTS:
        _add_export(routes, BY_NAME[name])
    row = BY_NAME[IMPORT]

    async def answer(request: Request, caller: Caller, args: Input) -> Response:
        app = app_of(request)
        with tempfile.TemporaryFile(dir=app.config.data_dir) as content:
            async for block in request.stream():
                content.write(block)
            content.seek(0)
            return respond(await row.carry_out(app, caller, ImportData.of(content), transport=Transport.REST))

    routes.add(row, answer=answer)


def _add_export(routes: Routes, row: Operation) -> None:
    async def answer(request: Request, caller: Caller, args: Any) -> Response:
        made = await row.carry_out(app_of(request), caller, args, transport=Transport.REST)
        assert isinstance(made, Export)
        headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(made.name, safe='')}", "cache-control": "no-store"}
        return StreamingResponse(made.content(), headers=headers, media_type=ZIP)

    routes.add(row, answer=answer, media=(ZIP,))
