\set ON_ERROR_STOP on
BEGIN;
DROP TABLE IF EXISTS public.user_quotas;

DELETE FROM public.schema_migrations WHERE version = '023_quotas';
COMMIT;
