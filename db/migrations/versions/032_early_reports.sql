\set ON_ERROR_STOP on
BEGIN;
-- What a messenger reported about a message before the message itself was stored: a reaction, an edit, a receipt. `subject` is what a later report
-- of the same kind replaces, `report` the event, `at` its time. It is booked when the message comes, and forgotten after some days.
SELECT set_config('lock_timeout', '800ms', true);

CREATE TABLE IF NOT EXISTS public.early_reports (
    instance_id uuid NOT NULL,
    platform_id text NOT NULL,
    subject text NOT NULL,
    report jsonb NOT NULL,
    at timestamptz NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, platform_id, subject)
);

INSERT INTO public.schema_migrations (version) VALUES ('032_early_reports') ON CONFLICT DO NOTHING;
COMMIT;
