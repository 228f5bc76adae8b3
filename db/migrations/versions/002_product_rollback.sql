\set ON_ERROR_STOP on
BEGIN;
-- Only the instances and the messages stay.

DROP TABLE IF EXISTS public.instance_errors, public.reveals, public.instance_secrets, public.user_tokens, public.api_keys,
    public.qr_codes, public.status_history, public.leases, public.outbox, public.deliveries, public.events,
    public.contacts, public.chats;
DROP SEQUENCE IF EXISTS public.event_numbers;

ALTER TABLE public.messages
    DROP COLUMN IF EXISTS search,
    DROP COLUMN IF EXISTS error,
    DROP COLUMN IF EXISTS idempotency_key;
DROP INDEX IF EXISTS public.messages_of_instance;

DELETE FROM public.schema_migrations WHERE version = '002_product';
COMMIT;
