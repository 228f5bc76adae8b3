"""What is posted to webhooks, in the OpenAPI document."""

from typing import Annotated

from fastapi import FastAPI, Header

from mcp_messenger.delivery.payload import Payload


def describe_webhooks(api: FastAPI) -> None:
    @api.webhooks.post("event", summary="An event of an instance, posted to its webhook.", status_code=204, tags=["webhooks"])
    def event(
        payload: Payload,
        webhook_id: Annotated[str, Header(alias="webhook-id", description="the same whenever this event is posted again")],
        webhook_timestamp: Annotated[str, Header(alias="webhook-timestamp", description="of this attempt, in seconds since 1970")],
        webhook_signature: Annotated[str, Header(alias="webhook-signature", description="v1,base64 of each valid secret, with spaces between")],
    ) -> None:
        """Signed by the Standard Webhooks scheme. Any 2xx answer takes it; 400, 401, 403, 404, 410 and 422 refuse it for good; all else is
        tried again for about a day. It may come more than once, with the same webhook-id."""
