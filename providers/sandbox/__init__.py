"""A messenger without accounts: for demos, examples, tests, and trying an agent before it gets a real number.

The whole platform of an instance (people, chats, messages, what is still to be delivered) is a SQLite file in the instance's
data folder, so it outlives restarts. A person plays the other side on a local chat page; personas play it by themselves.
Who is there at the beginning, and which of them misbehave on purpose, is in `people`.
"""
