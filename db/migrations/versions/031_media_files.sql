\set ON_ERROR_STOP on
BEGIN;
-- The files of messages that came in: a row a file, by the message and the file's place in it, from the event `event_id` on. `status` waiting:
-- to be fetched at `run_at`; kept: `size` bytes are in the folder of downloads; not_kept: `reason` says why not. `ref` is the messenger's word
-- for the file that this is about: an edit may put another one in its place. `voice` is about the transcript: waiting, done or failed; NULL: none
-- is made. The program makes the rows soon after the messages.
SELECT set_config('lock_timeout', '800ms', true);

CREATE TABLE IF NOT EXISTS public.media_files (
    message_id bigint NOT NULL,
    position integer NOT NULL,
    instance_id uuid NOT NULL,
    event_id bigint NOT NULL,
    ref text NOT NULL,
    status text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'kept', 'not_kept')),
    size bigint,
    reason text,
    voice text CHECK (voice IN ('waiting', 'done', 'failed')),
    tries integer NOT NULL DEFAULT 0,
    run_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (message_id, position)
);
CREATE INDEX IF NOT EXISTS media_files_due ON public.media_files (run_at) WHERE status = 'waiting' OR voice = 'waiting';
CREATE INDEX IF NOT EXISTS media_files_of_instance ON public.media_files (instance_id);
CREATE INDEX IF NOT EXISTS media_files_lacking ON public.media_files (created_at) WHERE status = 'not_kept' OR voice = 'failed';
CREATE INDEX IF NOT EXISTS media_files_newest ON public.media_files (event_id);

INSERT INTO public.schema_migrations (version) VALUES ('031_media_files') ON CONFLICT DO NOTHING;
COMMIT;
