"""A stand-in for a service on the rehearsal platform.

It answers the health checks of the real one, says on every page that it is a stand-in, and keeps notes: each is
stored in the service's PostgreSQL database and as a file in its state directory, and is chained to the one before.
What moves or restores a tenant can so be proven to have lost, doubled and reordered nothing.

configuration.py  what it is told to be
database.py       the connection to PostgreSQL
notes.py          the chain of notes
redis.py          as much of Redis' protocol as is needed
pages.py          the front page
server.py         requests and answers
worker.py         the background worker
"""
