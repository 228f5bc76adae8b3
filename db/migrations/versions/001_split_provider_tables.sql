\set ON_ERROR_STOP on
BEGIN;
-- One table for each messenger. message_instances stays as their parent: what counts or writes it goes on working, and an
-- instance of a messenger that has no table yet is kept in other_instances. The columns are taken as they are, so that this
-- file also works again after its rollback on a database that has later migrations.

DO $$
DECLARE
    messenger text;
BEGIN
    LOCK TABLE public.message_instances IN ACCESS EXCLUSIVE MODE;
    IF (SELECT relkind FROM pg_class WHERE oid = 'public.message_instances'::regclass) = 'r' THEN
        ALTER TABLE public.message_instances RENAME TO message_instances_single;
        CREATE TABLE public.message_instances
            (LIKE public.message_instances_single INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
            PARTITION BY LIST (provider);
        ALTER TABLE public.message_instances ADD PRIMARY KEY (id, provider);
        CREATE INDEX ON public.message_instances (user_id, created_at);
        FOREACH messenger IN ARRAY ARRAY['whatsappweb', 'telegram', 'whatsapp-official', 'facebook-messenger',
                                         'instagram', 'slack', 'discord', 'sandbox'] LOOP
            EXECUTE format('CREATE TABLE public.%I PARTITION OF public.message_instances FOR VALUES IN (%L)',
                           replace(messenger, '-', '_') || '_instances', messenger);
            EXECUTE format('ALTER TABLE public.%I ALTER COLUMN provider SET DEFAULT %L',
                           replace(messenger, '-', '_') || '_instances', messenger);
        END LOOP;
        CREATE TABLE public.other_instances PARTITION OF public.message_instances DEFAULT;
        INSERT INTO public.message_instances SELECT * FROM public.message_instances_single;
        DROP TABLE public.message_instances_single;
    END IF;
    DROP VIEW IF EXISTS public.all_instances;
    CREATE VIEW public.all_instances AS SELECT * FROM public.message_instances;
END
$$;

INSERT INTO public.schema_migrations (version) VALUES ('001_split_provider_tables') ON CONFLICT DO NOTHING;
COMMIT;
