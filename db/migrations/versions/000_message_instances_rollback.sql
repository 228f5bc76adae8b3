\set ON_ERROR_STOP on
BEGIN;
-- Back to nothing. The bookkeeping table stays: it says that nothing is applied.

DROP TABLE IF EXISTS public.messages;
DROP TABLE IF EXISTS public.message_instances;

DELETE FROM public.schema_migrations WHERE version = '000_message_instances';
COMMIT;
