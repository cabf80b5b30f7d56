"""A session of psycopg through the relay; prints one line for each thing that went as it should.

Arguments: a connection string, then names of what to try.
"""

import sys
import threading

import psycopg


def simple(connection):
    assert connection.execute("select 1").fetchone() == (1,)


def prepared(connection):
    for number in range(20):
        row = connection.execute("select %s::int + 1, %s::text", (number, "x" * number), prepare=True).fetchone()
        assert row == (number + 1, "x" * number)


def binary(connection):
    with connection.cursor(binary=True) as cursor:
        cursor.execute("select generate_series(1, 1000), decode('00ff', 'hex')")
        assert len(cursor.fetchall()) == 1000


def pipeline(connection):
    with connection.pipeline():
        cursors = [connection.execute("select %s::int", (number,)) for number in range(100)]
    assert [cursor.fetchone()[0] for cursor in cursors] == list(range(100))
    # An error in the middle aborts what follows to the end of the pipeline, and nothing else.
    try:
        with connection.pipeline() as pipe:
            connection.execute("select 1")
            connection.execute("select 1 / 0")
            connection.execute("select 2")
            pipe.sync()
        raise AssertionError("no error")
    except psycopg.errors.DivisionByZero:
        pass
    simple(connection)


def copy(connection):
    connection.execute("create temporary table copied (a int, b text)")
    with connection.cursor().copy("copy copied from stdin") as copy:
        for number in range(5000):
            copy.write_row((number, "b" * (number % 50)))
    with connection.cursor().copy("copy copied to stdout (format binary)") as copy:
        copied = b"".join(bytes(part) for part in copy)
    assert copied.startswith(b"PGCOPY\n\xff\r\n\0")
    with connection.cursor().copy("copy copied from stdin (format binary)") as copy:
        copy.write(copied)
    assert connection.execute("select count(*) from copied").fetchone() == (10000,)
    # One that fails in the middle leaves the session as it was.
    try:
        with connection.cursor().copy("copy copied from stdin") as copy:
            copy.write("not a number\tx\n")
        raise AssertionError("no error")
    except psycopg.errors.InvalidTextRepresentation:
        pass
    simple(connection)


def notify(connection):
    connection.execute("listen news")
    connection.execute("notify news, 'hello'")
    notification = next(connection.notifies(timeout=10))
    assert (notification.channel, notification.payload) == ("news", "hello")
    connection.execute("unlisten news")


def cancel(connection):
    timer = threading.Timer(0.5, connection.cancel_safe if hasattr(connection, "cancel_safe") else connection.cancel)
    timer.start()
    try:
        connection.execute("select pg_sleep(30)")
        raise AssertionError("not cancelled")
    except psycopg.errors.QueryCanceled:
        pass
    timer.join()
    simple(connection)


def large(connection):
    text = "z" * 3_000_000
    assert connection.execute("select %s::text", (text,)).fetchone()[0] == text


def refused(connection):
    """What the gate refuses fails like anything else that fails, and the session goes on."""
    forbidden = "do $$ begin end $$"
    try:
        connection.execute(forbidden)
        raise AssertionError("not refused")
    except psycopg.errors.InsufficientPrivilege as error:
        print("said", error.diag.message_primary)
    simple(connection)
    connection.execute("create temporary table kept (a int)")
    try:
        with connection.transaction():
            connection.execute("insert into kept values (1)")
            try:
                connection.execute(forbidden, prepare=True)
                raise AssertionError("not refused")
            except psycopg.errors.InsufficientPrivilege:
                pass
            connection.execute("insert into kept values (2)")
        raise AssertionError("its transaction was not aborted")
    except psycopg.errors.InFailedSqlTransaction:
        pass
    assert connection.execute("select count(*) from kept").fetchone() == (0,)
    try:
        with connection.pipeline() as pipe:
            before = connection.execute("insert into kept values (3) returning a")
            connection.execute(forbidden)
            connection.execute("insert into kept values (4)")
            pipe.sync()
        raise AssertionError("not refused")
    except psycopg.errors.InsufficientPrivilege:
        pass
    assert before.fetchone() == (3,)
    # The pipeline was one implicit transaction, which the server has taken back.
    assert connection.execute("select count(*) from kept").fetchone() == (0,)
    # Sent as one text, none of it runs.
    try:
        connection.pgconn.exec_(b"insert into kept values (5); do $$ begin end $$").status
    finally:
        assert connection.execute("select count(*) from kept").fetchone() == (0,)


def members_text(connection):
    assert len(connection.execute("select email, name from members").fetchall()) >= 1000


def members_binary(connection):
    with connection.cursor(binary=True) as cursor:
        assert len(cursor.execute("select id, email from members").fetchall()) >= 1000


def members_prepared(connection):
    rows = connection.execute("select email from members where id > %s", (0,), prepare=True).fetchall()
    assert len(rows) >= 1000


def members_copy(connection):
    with connection.cursor().copy("copy members to stdout") as copy:
        assert sum(bytes(part).count(b"\n") for part in copy) >= 1000


def members_copy_binary(connection):
    with connection.cursor().copy("copy members to stdout (format binary)") as copy:
        assert b"".join(bytes(part) for part in copy).startswith(b"PGCOPY")


def members_aggregated(connection):
    assert len(connection.execute("select json_agg(email) from members").fetchone()[0]) >= 1000


def protocol(connection):
    print("protocol", getattr(connection.pgconn, "full_protocol_version", connection.pgconn.protocol_version))


def tls(connection):
    assert connection.pgconn.ssl_in_use


def main():
    conninfo, *names = sys.argv[1:]
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for name in names:
            globals()[name](connection)
            print("ok", name)


main()
