\set ON_ERROR_STOP on
BEGIN;
DROP TRIGGER IF EXISTS search_added ON public.messages;
DROP TRIGGER IF EXISTS search_changed ON public.messages;
DROP TRIGGER IF EXISTS search_deleted ON public.messages;
DROP FUNCTION IF EXISTS public.mcp_messenger_search_added(), public.mcp_messenger_search_changed();
DROP TABLE IF EXISTS public.message_words, public.search_eras, public.search_pending, public.search_progress;

DELETE FROM public.schema_migrations WHERE version = '013_message_words';
COMMIT;
