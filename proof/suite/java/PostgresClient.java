// What an application in Java does with PostgreSQL, through whatever stands before it. Arguments: a URL, a user, a password.
// Prints "well" when everything came back as it should.

import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import org.postgresql.PGConnection;

public class PostgresClient {
    static void check(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException(what);
        }
    }

    static int count(Statement statement) throws SQLException {
        try (ResultSet rows = statement.executeQuery("select count(*) from jdbc")) {
            rows.next();
            return rows.getInt(1);
        }
    }

    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(arguments[0], arguments[1], arguments[2]);
                Statement statement = connection.createStatement()) {
            statement.execute("create temporary table jdbc (id int, name text)");
            // Batches are pipelines; from the fifth run on a statement is prepared by name.
            try (PreparedStatement insert = connection.prepareStatement("insert into jdbc values (?, ?)")) {
                for (int id = 0; id < 1000; id++) {
                    insert.setInt(1, id);
                    insert.setString(2, "member " + id);
                    insert.addBatch();
                }
                check(insert.executeBatch().length == 1000, "a batch");
            }
            try (PreparedStatement one = connection.prepareStatement("select name from jdbc where id = ?")) {
                for (int id = 0; id < 20; id++) {
                    one.setInt(1, id);
                    try (ResultSet rows = one.executeQuery()) {
                        check(rows.next() && rows.getString(1).equals("member " + id) && !rows.next(), "a row");
                    }
                }
            }
            // A portal, read in pieces.
            connection.setAutoCommit(false);
            try (Statement cursor = connection.createStatement()) {
                cursor.setFetchSize(50);
                int seen = 0;
                try (ResultSet rows = cursor.executeQuery("select id from jdbc order by id")) {
                    while (rows.next()) {
                        check(rows.getInt(1) == seen++, "in order");
                    }
                }
                check(seen == 1000, "all pieces");
            }
            statement.executeUpdate("delete from jdbc where id >= 500");
            connection.rollback();
            connection.setAutoCommit(true);
            check(count(statement) == 1000, "a rollback");
            // COPY, both ways.
            var copies = connection.unwrap(PGConnection.class).getCopyAPI();
            check(copies.copyIn("copy jdbc from stdin", new StringReader("1000\tlast\n")) == 1, "in");
            var out = new ByteArrayOutputStream();
            check(copies.copyOut("copy jdbc to stdout", out) == 1001 && out.toString().contains("1000\tlast\n"), "out");
            // An error of the server's, a refusal of the gate's, and the session goes on after both.
            for (String[] fails : new String[][] {{"select 1/0", "22012"}, {"do $$ begin end $$", "42501"}}) {
                try {
                    statement.execute(fails[0]);
                    check(false, fails[0]);
                } catch (SQLException error) {
                    check(fails[1].equals(error.getSQLState()), fails[0] + ": " + error);
                }
            }
            check(count(statement) == 1001, "it goes on");
            Thread impatient = new Thread(() -> {
                try {
                    Thread.sleep(500);
                    statement.cancel();
                } catch (Exception error) {
                    error.printStackTrace();
                }
            });
            impatient.start();
            try {
                statement.execute("select pg_sleep(30)");
                check(false, "a cancellation");
            } catch (SQLException error) {
                check("57014".equals(error.getSQLState()), "cancelled: " + error);
            }
            impatient.join();
            check(count(statement) == 1001, "it goes on");
        }
        System.out.println("well");
    }
}
