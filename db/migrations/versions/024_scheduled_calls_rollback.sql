\set ON_ERROR_STOP on
BEGIN;
SELECT set_config('lock_timeout', '800ms', true);
DROP TABLE IF EXISTS public.scheduled_calls;

DELETE FROM public.schema_migrations WHERE version = '024_scheduled_calls';
COMMIT;
