"""A server that speaks OpenAI's API for transcripts, and refuses what OpenAI refuses.

https://platform.openai.com/docs/api-reference/audio/createTranscription
"""

from pathlib import PurePath

from aiohttp import web

from tests.standins.base import StandIn

PATH = "/v1/audio/transcriptions"
FORMATS = {".flac", ".mp3", ".mp4", ".mpeg", ".mpga", ".m4a", ".ogg", ".oga", ".wav", ".webm"}
FIELDS = {"file", "model", "language", "prompt", "response_format", "temperature", "timestamp_granularities[]"}
MODELS = {"whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe"}
MAX = 25 * 1024 * 1024


class TranscriberStandIn(StandIn):
    """Hears in a file what `words` has for its bytes. `refusals` are answered first, one a call; `heard` has the files' names."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        self.words: dict[bytes, str] = {}
        self.refusals: list[int] = []
        self.heard: list[str] = []

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}{PATH}"

    def routes(self) -> web.Application:
        app = web.Application(client_max_size=2 * MAX)
        app.router.add_post(PATH, self._transcribe)
        return app

    async def _transcribe(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return _refused(401, "Incorrect API key provided.", "invalid_api_key")
        if request.content_type != "multipart/form-data":
            return _refused(400, "Invalid content type: it is no multipart form.")
        form = await request.post()
        file, model = form.get("file"), form.get("model")
        if unknown := set(form) - FIELDS:
            return _refused(400, f"Unrecognized request arguments supplied: {', '.join(sorted(unknown))}.")
        if not isinstance(file, web.FileField):
            return _refused(400, "You must provide a file.")
        if model not in MODELS:
            return _refused(404, f"The model {model!r} does not exist.", "model_not_found")
        if form.get("response_format", "json") != "json":
            return _refused(400, "The stand-in answers JSON alone.")
        content = file.file.read()
        if PurePath(file.filename).suffix not in FORMATS or not content:
            return _refused(400, "Invalid file format.")
        if len(content) > MAX:
            return _refused(413, "Maximum content size limit exceeded.")
        self.heard.append(file.filename)
        self.changed()
        if self.refusals:
            return _refused(self.refusals.pop(0), "Not now.")
        return web.json_response({"text": self.words.get(content, "")})


def _refused(status: int, message: str, code: str | None = None) -> web.Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return web.json_response({"error": {"message": message, "type": kind, "param": None, "code": code}}, status=status)
