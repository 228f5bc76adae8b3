\set ON_ERROR_STOP on
BEGIN;
-- How far each channel has come: what is after the event `confirmed` is pushed again; `pushed` is the newest message that was pushed.
SELECT set_config('lock_timeout', '800ms', true);

CREATE TABLE IF NOT EXISTS public.channels (
    name text PRIMARY KEY,
    confirmed bigint NOT NULL,
    pushed bigint NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO public.schema_migrations (version) VALUES ('029_channels') ON CONFLICT DO NOTHING;
COMMIT;
