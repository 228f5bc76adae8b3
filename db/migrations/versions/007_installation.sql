\set ON_ERROR_STOP on
BEGIN;
-- Which installation this is: what it makes elsewhere, such as containers, carries its id.

CREATE TABLE IF NOT EXISTS public.installation (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    id uuid NOT NULL DEFAULT gen_random_uuid()
);

INSERT INTO public.schema_migrations (version) VALUES ('007_installation') ON CONFLICT DO NOTHING;
COMMIT;
