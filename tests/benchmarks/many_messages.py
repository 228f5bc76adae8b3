"""A million stored messages with their words, for the benchmarks of reading."""

from uuid import UUID

import psycopg

from db.search import ERA_SIZE
from mcp_messenger.search.words import ERA_MARK, FORM, mark, marks, vector
from tests.postgres import execute

MESSAGES = 1_000_000
CHATS = 500
INSTANCE = UUID(int=1)
OTHER = UUID(int=2)

# Half of all messages hold "common" or "обычное", one of 200 "middling", one of 100,000 "rare"; half belong to the instance that is asked,
# and none of these holds "foreign", which is in half of the others. "elsewhere" is in half of the instance's messages, but for those of chat8.
# "former" is in the older half of them.
FILL = """
    INSERT INTO messages (instance_id, chat_id, platform_id, status, sender_id, sender_name, body, sent_at)
    SELECT CASE WHEN n % 2 = 0 THEN '{instance}'::uuid ELSE '{other}'::uuid END, 'chat' || (n / 2) % {chats}, 'm' || n, 'received', 'p', 'Person',
        'order ' || n || ' about word' || n % 5000 || CASE WHEN n % 4 < 2 THEN ' common' ELSE ' обычное' END
            || CASE WHEN n % 4 = 1 THEN ' foreign' ELSE '' END || CASE WHEN n % 4 = 0 AND n / 2 % {chats} <> 8 THEN ' elsewhere' ELSE '' END
            || CASE WHEN n % 2 = 0 AND n < {messages} / 2 THEN ' former' ELSE '' END
            || CASE WHEN n % 200 = 0 THEN ' middling' ELSE '' END || CASE WHEN n % 100000 = 0 THEN ' rare' ELSE '' END,
        now() - make_interval(secs => {messages} - n)
    FROM generate_series(1, {messages}) AS n"""
TITLES = """
    INSERT INTO chats (instance_id, id, kind, title, last_message_id, last_at)
    SELECT instance_id, chat_id, 'private', chat_id, max(id), max(sent_at) FROM messages GROUP BY instance_id, chat_id"""
INSTANCES = f"INSERT INTO message_instances (id, user_id, provider) VALUES ('{INSTANCE}', 'local', 'sandbox')"
# The words that the program would store, which differ between these messages in a few places only: it would take it ten minutes.
WORDS = f"""
    INSERT INTO message_words (message_id, sent_at, words)
    SELECT m.id, m.sent_at, replace(replace(replace(replace(t.words, '987654', split_part(m.body, ' ', 2)), 'word4321', split_part(m.body, ' ', 4)),
        '{mark("chat", "chat")}', c.mark), '{ERA_MARK}', to_hex((m.id - 1) / 2 / {ERA_SIZE} * 2 + 1 + (m.id - 1) % 2))::tsvector
    FROM messages m JOIN templates t ON t.rest = substr(m.body, length(split_part(m.body, ' about ', 1)) + 8 + length(split_part(m.body, ' ', 4)))
        JOIN chat_marks c ON c.id = m.chat_id"""
ERAS = """
    INSERT INTO search_eras (id, instance_id, is_past, messages, oldest, newest)
    SELECT ('x' || lpad(split_part((SELECT lexeme FROM unnest(w.words) LIMIT 1), ':', 1), 16, '0'))::bit(64)::bigint AS era, m.instance_id, true,
        count(*), min(m.sent_at), max(m.sent_at)
    FROM message_words w JOIN messages m ON m.id = w.message_id GROUP BY era, m.instance_id"""


def fill(url: str, messages: int = MESSAGES) -> None:
    """Store the messages, with what the program would have stored for searches."""
    execute(url, FILL.format(instance=INSTANCE, other=OTHER, chats=CHATS, messages=messages), TITLES, INSTANCES)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE templates (rest text, words text)")
        connection.execute("CREATE TEMP TABLE chat_marks (id text, mark text)")
        rests = [row[0] for row in connection.execute(RESTS).fetchall()]
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO templates VALUES (%s, %s)", [(rest, _template(rest)) for rest in rests])
            cursor.executemany("INSERT INTO chat_marks VALUES (%s, %s)", [(f"chat{at}", mark("chat", f"chat{at}")) for at in range(CHATS)])
        # Words that come into an index one by one take many times as long.
        connection.execute("DROP INDEX message_words_search")
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute(WORDS.encode())
        connection.execute("CREATE INDEX message_words_search ON message_words USING gin (words) WITH (fastupdate = off)")
        connection.execute(ERAS.encode())
        connection.execute("TRUNCATE search_pending")
        connection.execute("UPDATE search_progress SET next_id = 0, form = %s", [FORM])
        connection.execute("VACUUM ANALYZE")


RESTS = "SELECT DISTINCT substr(body, length(split_part(body, ' about ', 1)) + 8 + length(split_part(body, ' ', 4))) FROM messages"


def _template(rest: str) -> str:
    of = marks(chat_id="chat", outgoing=False, sender_id="p", sender_name="Person", kind="text", media=())
    return vector([f"order 987654 about word4321{rest}"], of)
