\set ON_ERROR_STOP on
BEGIN;
DROP TABLE IF EXISTS public.chat_successions, public.chat_closures, public.chat_aliases;

DELETE FROM public.schema_migrations WHERE version = '012_chat_addresses';
COMMIT;
