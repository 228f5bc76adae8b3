\set ON_ERROR_STOP on
BEGIN;
DROP TABLE IF EXISTS public.approvals, public.shown_chats, public.trusted_chats, public.instance_policies;

DELETE FROM public.schema_migrations WHERE version = '014_policy';
COMMIT;
