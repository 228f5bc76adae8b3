\set ON_ERROR_STOP on
BEGIN;
SELECT set_config('lock_timeout', '800ms', true);
ALTER TABLE public.access_keys DROP COLUMN IF EXISTS policy;
DROP TABLE IF EXISTS public.paired_chats;

DELETE FROM public.schema_migrations WHERE version = '022_pairing';
COMMIT;
