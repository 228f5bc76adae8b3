#!/bin/sh
# The same by REST: make a sandbox account, send a message, wait for the answer. It needs curl and a server that runs (mcp-messenger serve).
#
# sh examples/send_and_wait.sh [http://127.0.0.1:3000]       with MCP_MESSENGER_ADMIN_TOKEN set where the server has one
set -eu

api="${1:-http://127.0.0.1:3000}/api/v1"

call() { # METHOD PATH [BODY]
  curl -sS --fail-with-body -X "$1" "$api$2" -H "Content-Type: application/json" \
    ${MCP_MESSENGER_ADMIN_TOKEN:+-H "Authorization: Bearer $MCP_MESSENGER_ADMIN_TOKEN"} ${3:+-d "$3"}
}
field() { # the first field of that name whose value is a string
  grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4
}

# Where a person would scan the code of /qr.png, auto_scan has the sandbox do it.
instance=$(call POST /instances '{"provider": "sandbox", "credentials": {"auto_scan": true}}' | field instance_id)
until [ "$(call GET "/instances/$instance/auth-status" | field state)" = ready ]; do sleep 0.2; done

# The same idempotency_key sends the same message once, however often the call is repeated.
sent=$(call POST "/instances/$instance/send" '{"to": "ann", "message": "Hello Ann, can you hear me?", "idempotency_key": "example-1"}')
echo "me:  Hello Ann, can you hear me?  ($(echo "$sent" | field status))"

message=$(echo "$sent" | field message_id)
reply=$(call GET "/instances/$instance/message/$message/replies?timeout=30")
echo "$(echo "$reply" | field from): $(echo "$reply" | field text)"

call DELETE "/instances/$instance?purge=true" >/dev/null
