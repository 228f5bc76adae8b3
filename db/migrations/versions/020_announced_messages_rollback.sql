\set ON_ERROR_STOP on
BEGIN;
SELECT set_config('lock_timeout', '800ms', true);
ALTER TABLE public.messages DROP COLUMN IF EXISTS announced;
DELETE FROM public.schema_migrations WHERE version = '020_announced_messages';
COMMIT;
