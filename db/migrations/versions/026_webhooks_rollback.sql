\set ON_ERROR_STOP on
BEGIN;
DELETE FROM public.deliveries WHERE target LIKE 'webhook:%';
DELETE FROM public.delivery_endpoints WHERE target LIKE 'webhook:%';
DELETE FROM public.instance_secrets WHERE field ~ '^webhook_([2-9]|10)_';
ALTER TABLE public.deliveries DROP CONSTRAINT IF EXISTS deliveries_target_check;
ALTER TABLE public.deliveries ADD CONSTRAINT deliveries_target_check CHECK (target IN ('webhook', 'agno'));
DROP TABLE IF EXISTS public.webhooks, public.webhook_progress;

DELETE FROM public.schema_migrations WHERE version = '026_webhooks';
COMMIT;
