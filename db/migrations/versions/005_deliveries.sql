\set ON_ERROR_STOP on
BEGIN;
-- Deliveries at work: which are due is found by endpoint and kept in order by chat; an endpoint that fails is left alone for a while.

DROP INDEX IF EXISTS public.deliveries_due;

ALTER TABLE public.deliveries
    ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now(),
    -- The first of the deliveries that one run of an agent answers together.
    ADD COLUMN IF NOT EXISTS batch bigint;

-- It went through the outbox: no echo of it is somebody who writes on the phone.
ALTER TABLE public.messages ADD COLUMN IF NOT EXISTS queued boolean NOT NULL DEFAULT false;

CREATE INDEX IF NOT EXISTS deliveries_waiting ON public.deliveries (target, instance_id, event_id, id) WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS deliveries_of_chat
    ON public.deliveries (instance_id, target, coalesce(chat_id, ''), event_id, id) WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS deliveries_dead ON public.deliveries (instance_id, id) WHERE status = 'dead';
CREATE INDEX IF NOT EXISTS deliveries_ended ON public.deliveries (done_at) WHERE status <> 'pending';

-- The row is there while an endpoint is in trouble.
CREATE TABLE IF NOT EXISTS public.delivery_endpoints (
    instance_id uuid NOT NULL,
    target text NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    pauses integer NOT NULL DEFAULT 0,
    paused_until timestamptz,
    PRIMARY KEY (instance_id, target)
);

-- Who answers in a chat. Without a row it is the agent.
CREATE TABLE IF NOT EXISTS public.agent_chats (
    instance_id uuid NOT NULL,
    chat_id text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('agent', 'human', 'paused')),
    until timestamptz,
    reason text,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, chat_id)
);

INSERT INTO public.schema_migrations (version) VALUES ('005_deliveries') ON CONFLICT DO NOTHING;
COMMIT;
