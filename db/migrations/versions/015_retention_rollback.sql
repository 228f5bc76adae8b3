\set ON_ERROR_STOP on
BEGIN;
SELECT set_config('lock_timeout', '800ms', true);
ALTER TABLE public.outbox RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
ALTER TABLE public.deliveries RESET (autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor);
ALTER TABLE public.messages RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_insert_scale_factor, autovacuum_analyze_scale_factor);
ALTER TABLE public.events RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_insert_scale_factor, autovacuum_analyze_scale_factor);
DROP TABLE IF EXISTS public.erasures;
DROP TABLE IF EXISTS public.event_horizons;
DROP TABLE IF EXISTS public.instance_retention;
DROP TABLE IF EXISTS public.chores;
DELETE FROM public.schema_migrations WHERE version = '015_retention';
COMMIT;
