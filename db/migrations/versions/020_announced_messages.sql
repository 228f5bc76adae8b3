\set ON_ERROR_STOP on
BEGIN;
-- A message that only a messenger's history has brought so far is stored and not announced: when it is delivered as new after all, it is.

SELECT set_config('lock_timeout', '800ms', true);

ALTER TABLE public.messages ADD COLUMN IF NOT EXISTS announced boolean NOT NULL DEFAULT true;

INSERT INTO public.schema_migrations (version) VALUES ('020_announced_messages') ON CONFLICT DO NOTHING;
COMMIT;
