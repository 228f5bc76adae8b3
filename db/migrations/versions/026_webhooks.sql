\set ON_ERROR_STOP on
BEGIN;
-- Further webhooks of an instance, beside the one in message_instances. Their deliveries are written from the event log, up to
-- webhook_progress: so they have the events of a former version of the program as well, which knows nothing of these tables.
SELECT set_config('lock_timeout', '800ms', true);

CREATE TABLE IF NOT EXISTS public.webhooks (
    instance_id uuid NOT NULL,
    number smallint NOT NULL CHECK (number BETWEEN 2 AND 10),
    config jsonb NOT NULL,
    -- The last event that is not for it.
    since bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, number)
);

CREATE TABLE IF NOT EXISTS public.webhook_progress (
    is_single boolean PRIMARY KEY DEFAULT true CHECK (is_single),
    event_id bigint NOT NULL
);
INSERT INTO public.webhook_progress (event_id) VALUES (0) ON CONFLICT DO NOTHING;

-- What is there already has one of the two former targets, so nothing need be read.
ALTER TABLE public.deliveries DROP CONSTRAINT IF EXISTS deliveries_target_check;
ALTER TABLE public.deliveries ADD CONSTRAINT deliveries_target_check
    CHECK (target IN ('webhook', 'agno') OR target ~ '^webhook:([2-9]|10)$') NOT VALID;

INSERT INTO public.schema_migrations (version) VALUES ('026_webhooks') ON CONFLICT DO NOTHING;
COMMIT;
