\set ON_ERROR_STOP on
BEGIN;
-- Work that one server does for all may fail, and every server is to say so. And since searches have words of their own (013), nothing reads
-- the words that PostgreSQL computed of each message: they took a fifth of the disk, and of the time in which a message is stored.

DO $$
BEGIN
    -- As in 011: no writer begins while this lock is held, and this file gives way before PostgreSQL looks for deadlocks.
    PERFORM pg_advisory_xact_lock(7019830104723521);
    PERFORM set_config('lock_timeout', '800ms', true);
END
$$;

ALTER TABLE public.chores ADD COLUMN IF NOT EXISTS failed_at timestamptz, ADD COLUMN IF NOT EXISTS trouble text;
DROP INDEX IF EXISTS public.messages_search;
ALTER TABLE public.messages DROP COLUMN IF EXISTS search;

INSERT INTO public.schema_migrations (version) VALUES ('021_upkeep') ON CONFLICT DO NOTHING;
COMMIT;
