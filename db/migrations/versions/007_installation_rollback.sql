\set ON_ERROR_STOP on
BEGIN;
DROP TABLE IF EXISTS public.installation;

DELETE FROM public.schema_migrations WHERE version = '007_installation';
COMMIT;
