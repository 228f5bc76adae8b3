\set ON_ERROR_STOP on
BEGIN;
SELECT set_config('lock_timeout', '800ms', true);
DROP TABLE IF EXISTS public.chat_marks;
DROP TABLE IF EXISTS public.contact_names;

DELETE FROM public.schema_migrations WHERE version = '028_names_and_marks';
COMMIT;
