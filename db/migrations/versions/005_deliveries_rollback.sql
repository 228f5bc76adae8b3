\set ON_ERROR_STOP on
BEGIN;
DROP TABLE IF EXISTS public.delivery_endpoints, public.agent_chats;
DROP INDEX IF EXISTS public.deliveries_waiting, public.deliveries_of_chat, public.deliveries_dead, public.deliveries_ended;
ALTER TABLE public.deliveries DROP COLUMN IF EXISTS created_at, DROP COLUMN IF EXISTS batch;
ALTER TABLE public.messages DROP COLUMN IF EXISTS queued;
CREATE INDEX IF NOT EXISTS deliveries_due ON public.deliveries (run_at) WHERE status = 'pending';

DELETE FROM public.schema_migrations WHERE version = '005_deliveries';
COMMIT;
