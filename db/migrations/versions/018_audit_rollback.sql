\set ON_ERROR_STOP on
BEGIN;
DROP TABLE IF EXISTS public.audit_log, public.audit_head;
DROP FUNCTION IF EXISTS public.mcp_messenger_audit_only_grows();

DELETE FROM public.schema_migrations WHERE version = '018_audit';
COMMIT;
