\set ON_ERROR_STOP on
BEGIN;
-- One person over several messengers. A link is proposed first and counts when it was confirmed.

CREATE TABLE IF NOT EXISTS public.people (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id text NOT NULL,
    name text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS people_of_user ON public.people (user_id, id);

CREATE TABLE IF NOT EXISTS public.identities (
    instance_id uuid NOT NULL,
    contact_id text NOT NULL,
    person_id uuid NOT NULL,
    proposed_at timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz,
    PRIMARY KEY (person_id, instance_id, contact_id)
);
-- A contact may be proposed for several people, and is at most one.
CREATE UNIQUE INDEX IF NOT EXISTS identities_confirmed ON public.identities (instance_id, contact_id) WHERE confirmed_at IS NOT NULL;

INSERT INTO public.schema_migrations (version) VALUES ('006_people') ON CONFLICT DO NOTHING;
COMMIT;
