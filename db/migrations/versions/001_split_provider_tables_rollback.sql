\set ON_ERROR_STOP on
BEGIN;
-- One table of instances again, with every row and every column of the split ones.

DO $$
BEGIN
    LOCK TABLE public.message_instances IN ACCESS EXCLUSIVE MODE;
    DROP VIEW IF EXISTS public.all_instances;
    IF (SELECT relkind FROM pg_class WHERE oid = 'public.message_instances'::regclass) = 'p' THEN
        ALTER TABLE public.message_instances RENAME TO message_instances_split;
        CREATE TABLE public.message_instances
            (LIKE public.message_instances_split INCLUDING DEFAULTS INCLUDING CONSTRAINTS, PRIMARY KEY (id));
        CREATE INDEX ON public.message_instances (user_id, created_at);
        INSERT INTO public.message_instances SELECT * FROM public.message_instances_split;
        DROP TABLE public.message_instances_split;
    END IF;
END
$$;

DELETE FROM public.schema_migrations WHERE version = '001_split_provider_tables';
COMMIT;
