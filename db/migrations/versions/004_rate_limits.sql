\set ON_ERROR_STOP on
BEGIN;
-- How much of its allowance each caller of the API has used. Unlogged: after a crash everybody begins anew, and nothing else is lost.

CREATE UNLOGGED TABLE IF NOT EXISTS public.rate_limits (
    key bytea PRIMARY KEY,
    spent_until timestamptz NOT NULL,
    granted integer NOT NULL
) WITH (fillfactor = 50);

INSERT INTO public.schema_migrations (version) VALUES ('004_rate_limits') ON CONFLICT DO NOTHING;
COMMIT;
