#!/bin/sh
# The same errand by curl, against a server that runs (make run): sh examples/send_and_wait.sh [http://127.0.0.1:3000]
set -eu
api="${1:-http://127.0.0.1:3000}/api/v1"

post() { curl -fsS -X POST "$api$1" -H 'Content-Type: application/json' -d "$2"; }
# The first value of a field, without needing jq.
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" | head -n 1; }

id=$(post /instances '{"provider": "sandbox", "credentials": {"auto_scan": true}}' | sed 's/,.*//' | field instance_id)
echo "instance: $id"
until curl -fsS "$api/instances/$id/auth-status" | grep -q '"state":"ready"'; do sleep 0.2; done

sent=$(post "/instances/$id/send" '{"to": "ann", "message": "Lunch at noon?", "idempotency_key": "lunch-1"}')
message=$(printf '%s' "$sent" | sed 's/,.*//' | field message_id)
echo "sent: $(printf '%s' "$sent" | sed 's/"chat_id.*//' | field status)"

echo "reply: $(curl -fsS "$api/instances/$id/message/$message/replies?timeout=30" | field text)"
curl -fsS -X DELETE "$api/instances/$id?purge=true" >/dev/null
