\set ON_ERROR_STOP on
BEGIN;
ALTER TABLE public.messages ADD COLUMN IF NOT EXISTS search tsvector GENERATED ALWAYS AS (to_tsvector('simple', body)) STORED;
CREATE INDEX IF NOT EXISTS messages_search ON public.messages USING gin (search) WITH (gin_pending_list_limit = 256);
ALTER TABLE public.chores DROP COLUMN IF EXISTS failed_at, DROP COLUMN IF EXISTS trouble;

DELETE FROM public.schema_migrations WHERE version = '021_upkeep';
COMMIT;
