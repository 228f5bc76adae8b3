\set ON_ERROR_STOP on
BEGIN;
-- What a process asks of an instance that another one holds. The row goes when the answer has been read.

CREATE TABLE IF NOT EXISTS public.calls (
    id uuid PRIMARY KEY,
    instance_id uuid NOT NULL,
    method text NOT NULL,
    args jsonb NOT NULL,
    claimed_epoch bigint,
    result jsonb,
    error jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz
);

INSERT INTO public.schema_migrations (version) VALUES ('003_calls') ON CONFLICT DO NOTHING;
COMMIT;
