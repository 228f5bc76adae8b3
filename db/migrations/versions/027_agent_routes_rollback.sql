\set ON_ERROR_STOP on
BEGIN;
SELECT set_config('lock_timeout', '800ms', true);

ALTER TABLE public.message_instances DROP COLUMN IF EXISTS agent_routes;

DELETE FROM public.schema_migrations WHERE version = '027_agent_routes';
COMMIT;
