"""The bare form of a REST server: python -m tests.benchmarks.bare_fastapi."""

from fastapi import FastAPI

from tests.benchmarks.servers import serve_bare

api = FastAPI()


@api.get("/")
async def hello() -> dict[str, str]:
    return {"hello": "world"}


if __name__ == "__main__":
    serve_bare(api)
