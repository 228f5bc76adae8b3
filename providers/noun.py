"""The base of every noun of the port."""

from pydantic import BaseModel, ConfigDict


class Noun(BaseModel):
    """The base of all: immutable, and strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")
