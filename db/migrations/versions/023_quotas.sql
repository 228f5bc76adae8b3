\set ON_ERROR_STOP on
BEGIN;
-- How much a user may have, where that is not as the server's settings say. NULL: without a limit.
SELECT set_config('lock_timeout', '800ms', true);

CREATE TABLE IF NOT EXISTS public.user_quotas (
    user_id text NOT NULL,
    kind text NOT NULL,
    most bigint CHECK (most >= 0),
    set_at timestamptz NOT NULL DEFAULT now(),
    set_by text NOT NULL,
    PRIMARY KEY (user_id, kind)
);

INSERT INTO public.schema_migrations (version) VALUES ('023_quotas') ON CONFLICT DO NOTHING;
COMMIT;
