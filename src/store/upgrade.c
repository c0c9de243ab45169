/*
 * From what the file holds to what the kinds declare, on each start.
 *
 * Each kind's shape (columns, indexes, keys) is written beside its table. Where it is still the
 * same nothing is done, which is why a start is quick. Where it is not, the table is made anew
 * and filled from its documents, which hold everything and are copied as they are; columns and
 * keys are only ways to find them. A kind that is no longer declared stays untouched. All of it
 * is one transaction: a start that is cut off leaves the file as it was.
 */
#include "base/log.h"
#include "store/engine.h"

#include <errno.h>

LOG_MODULE("store.upgrade");

static const char ENGINE_TABLES[] =
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;"
    "CREATE TABLE kinds(number INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, shape TEXT NOT NULL);"
    "CREATE TABLE keys(kind INTEGER, name TEXT, value TEXT, id TEXT, uniq INTEGER NOT NULL,"
    " PRIMARY KEY(kind, name, value, id)) WITHOUT ROWID;"
    "CREATE INDEX keys_id ON keys(kind, id);"
    "CREATE UNIQUE INDEX keys_unique ON keys(kind, name, value) WHERE uniq=1;"
    "CREATE TABLE changes(seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, id TEXT NOT NULL,"
    " deleted INTEGER NOT NULL, host TEXT, host_before TEXT);";

static int pragma_read(struct connection *c, const char *sql, int64_t *ret)
{
    sqlite3_stmt *stmt;
    int r = connection_prepare(c, sql, &stmt);
    if (r == 0)
        r = statement_row(c, stmt);
    if (r > 0) {
        *ret = sqlite3_column_int64(stmt, 0);
        statement_done(stmt);
    }
    return r < 0 ? r : 0;
}

/* Runs what the buffer holds, then empties it. */
static int exec_buf(struct connection *c, struct buf *sql)
{
    int r = buf_error(sql);
    if (r == 0)
        r = connection_exec(c, buf_text(sql));
    buf_clear(sql);
    return r;
}

static int kind_write(struct connection *c, struct table *t, const char *shape)
{
    sqlite3_stmt *stmt;
    int r = connection_prepare(c, "INSERT INTO kinds(number, name, shape) VALUES(?,?,?) "
                                  "ON CONFLICT(number) DO UPDATE SET shape=excluded.shape", &stmt);
    if (r < 0)
        return r;
    if (t->number)
        (void)sqlite3_bind_int(stmt, 1, t->number);
    (void)sqlite3_bind_text(stmt, 2, t->kind->name, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(stmt, 3, shape, -1, SQLITE_STATIC);
    r = statement_run(c, stmt);
    if (r == 0 && !t->number)
        t->number = (int)sqlite3_last_insert_rowid(c->db);
    return r;
}

/* One row of the old table into the new one. */
static int refill_row(struct connection *c, const struct table *t, sqlite3_stmt *from, sqlite3_stmt *to,
                      struct arena *a, struct fault *fault)
{
    const char *id = (const char *)sqlite3_column_text(from, 0);
    const char *text = (const char *)sqlite3_column_text(from, 2);
    int64_t revision = sqlite3_column_int64(from, 1);
    void *object;
    if (!id || !text)
        return -ENOMEM;
    int r = document_decode(t, text, (size_t)sqlite3_column_bytes(from, 2), (uint64_t)revision, a, &object);
    if (r == -EUCLEAN)
        return fault_set(fault, 0, "store", "the document of %s %s can't be read", t->kind->name, id);
    if (r < 0)
        return r;
    (void)sqlite3_bind_text(to, 1, id, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(to, 2, revision);
    (void)sqlite3_bind_text(to, 3, text, sqlite3_column_bytes(from, 2), SQLITE_STATIC);
    (void)table_bind(t, to, 4, object);
    r = statement_run(c, to);
    struct key_sink keys;
    if (r == 0)
        r = table_keys(t, object, a, &keys);
    if (r == 0)
        r = keys_write(c, t, id, &keys, a);
    if (r == -EEXIST)
        return fault_set(fault, 0, "store", "%s %s has a key that another object has too", t->kind->name, id);
    return r;
}

static void finalizep(sqlite3_stmt **stmt)
{
    (void)sqlite3_finalize(*stmt);
}

static int refill(struct connection *c, const struct table *t, struct fault *fault)
{
    _cleanup_(buf_done) struct buf sql = BUF_MAX((size_t)1 << 20);
    _cleanup_(finalizep) sqlite3_stmt *from = NULL;
    _cleanup_(finalizep) sqlite3_stmt *to = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    if (!a)
        return -ENOMEM;
    buf_printf(&sql, "DELETE FROM keys WHERE kind=%d;", t->number);
    int r = exec_buf(c, &sql);
    if (r < 0)
        return r;
    buf_adds(&sql, "SELECT id, revision, doc FROM \"old/rows\"");
    if (sqlite3_prepare_v2(c->db, buf_text(&sql), -1, &from, NULL) != SQLITE_OK)
        return sqlite_errno(c->db, sqlite3_errcode(c->db));
    buf_clear(&sql);
    table_fixed_sql(t, SQL_PUT, &sql);
    if (buf_error(&sql) || sqlite3_prepare_v2(c->db, buf_text(&sql), -1, &to, NULL) != SQLITE_OK)
        return buf_error(&sql) ? buf_error(&sql) : sqlite_errno(c->db, sqlite3_errcode(c->db));
    while ((r = statement_row(c, from)) > 0) {
        r = refill_row(c, t, from, to, a, fault);
        if (r)
            return r;
        arena_reset(a);
    }
    return r;
}

/* Indexes keep their names when their table gets another one, so they go first. */
static int drop_indexes(struct connection *c, const struct table *t, struct buf *sql)
{
    sqlite3_stmt *stmt;
    int r = connection_prepare(c, "SELECT name FROM sqlite_schema WHERE type='index' AND tbl_name=? AND sql IS NOT NULL",
                               &stmt);
    if (r < 0)
        return r;
    (void)sqlite3_bind_text(stmt, 1, t->kind->name, -1, SQLITE_STATIC);
    while ((r = statement_row(c, stmt)) > 0) {
        buf_adds(sql, "DROP INDEX ");
        sql_name(sql, (const char *)sqlite3_column_text(stmt, 0));
        buf_addc(sql, ';');
    }
    return r < 0 ? r : exec_buf(c, sql);
}

static int rebuild(struct connection *c, const struct table *t, struct fault *fault)
{
    _cleanup_(buf_done) struct buf sql = BUF_MAX((size_t)1 << 20);
    int r = drop_indexes(c, t, &sql);
    if (r < 0)
        return r;
    buf_adds(&sql, "ALTER TABLE ");
    sql_name(&sql, t->kind->name);
    buf_adds(&sql, " RENAME TO \"old/rows\";");
    table_create_sql(t, &sql);
    r = exec_buf(c, &sql);
    if (r == 0)
        r = refill(c, t, fault);
    return r ? r : connection_exec(c, "DROP TABLE \"old/rows\"");
}

static int upgrade_kind(struct connection *c, struct table *t, struct fault *fault)
{
    _cleanup_(buf_done) struct buf shape = BUF_MAX((size_t)1 << 20);
    sqlite3_stmt *stmt;
    table_shape(t, &shape);
    int r = buf_error(&shape);
    if (r == 0)
        r = connection_prepare(c, "SELECT number, shape FROM kinds WHERE name=?", &stmt);
    if (r < 0)
        return r;
    (void)sqlite3_bind_text(stmt, 1, t->kind->name, -1, SQLITE_STATIC);
    r = statement_row(c, stmt);
    if (r < 0)
        return r;
    if (r > 0) {
        t->number = sqlite3_column_int(stmt, 0);
        bool same = str_eq((const char *)sqlite3_column_text(stmt, 1), buf_text(&shape));
        statement_done(stmt);
        if (same)
            return 0;
        log_debug("a kind has changed", KV("kind", t->kind->name));
        r = rebuild(c, t, fault);
    } else {
        _cleanup_(buf_done) struct buf sql = BUF_MAX((size_t)1 << 20);
        table_create_sql(t, &sql);
        r = exec_buf(c, &sql);
    }
    return r ? r : kind_write(c, t, buf_text(&shape));
}

static int upgrade_all(struct store *s, struct fault *fault)
{
    struct connection *c = s->writer;
    int64_t application = 0, format = 0, tables = 0, revision, floor, analyzed;
    int r = pragma_read(c, "PRAGMA application_id", &application);
    if (r == 0)
        r = pragma_read(c, "PRAGMA user_version", &format);
    if (r == 0)
        r = pragma_read(c, "SELECT count(*) FROM sqlite_schema", &tables);
    if (r < 0)
        return r;
    if (tables && application != APPLICATION_ID)
        return fault_set(fault, 0, "store", "%s is not a store of ours", s->path);
    if (format > FORMAT)
        return fault_set(fault, 0, "store", "%s was written by a newer version (format %lld, we know %d)", s->path,
                         (long long)format, FORMAT);
    if (!tables) {
        char sql[128];
        (void)snprintf(sql, sizeof(sql), "PRAGMA application_id=%d; PRAGMA user_version=%d", APPLICATION_ID, FORMAT);
        r = connection_exec(c, sql);
        if (r == 0)
            r = connection_exec(c, ENGINE_TABLES);
    }
    for (size_t i = 0; r == 0 && i < s->n_tables; i++)
        r = upgrade_kind(c, s->tables[i], fault);
    if (r == 0)
        r = meta_read(c, "revision", 0, &revision);
    if (r == 0)
        r = meta_read(c, "changes_floor", 0, &floor);
    if (r == 0)
        r = meta_read(c, "analyzed", 0, &analyzed);
    if (r == 0) {
        s->analyzed = (uint64_t)analyzed;
        s->revision = (uint64_t)revision;
        s->changes_floor = (uint64_t)floor;
    }
    return r;
}

int store_upgrade(struct store *s, struct fault *fault)
{
    int r = connection_exec(s->writer, "PRAGMA journal_mode=WAL; BEGIN IMMEDIATE");
    if (r < 0)
        return r;
    r = upgrade_all(s, fault);
    /* Statements of the time before the tables changed must not stand in the way. */
    if (r)
        (void)connection_exec(s->writer, "ROLLBACK");
    else
        r = connection_exec(s->writer, "COMMIT");
    return r;
}
