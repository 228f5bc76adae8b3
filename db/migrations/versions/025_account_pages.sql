\set ON_ERROR_STOP on
BEGIN;
-- Names that people give their accounts, and the addresses of pages on which a person adds an account or logs it in.
SELECT set_config('lock_timeout', '800ms', true);

ALTER TABLE public.message_instances ADD COLUMN IF NOT EXISTS name text NOT NULL DEFAULT '';

DO $$
BEGIN
    IF to_regclass('public.all_instances') IS NOT NULL THEN
        DROP VIEW public.all_instances;
        CREATE VIEW public.all_instances AS SELECT * FROM public.message_instances;
    END IF;
END
$$;

-- `digest` is of the secret in the address. `instance_id` is the account that logs in there; NULL: none was added there yet. `user_id` is whose
-- account it becomes; NULL: the administrator's. `used_at` is when the page had done its work: it shows no code after that, and adds nothing.
CREATE TABLE IF NOT EXISTS public.page_links (
    digest bytea PRIMARY KEY,
    user_id text,
    instance_id uuid,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);

INSERT INTO public.schema_migrations (version) VALUES ('025_account_pages') ON CONFLICT DO NOTHING;
COMMIT;
