/*
 * Connections, and the statements that each keeps.
 *
 * A statement is prepared when its text is first asked for and kept, so nothing is parsed per
 * call. The texts come from declarations and from queries whose values are all parameters, so
 * there are few; should a caller invent many, the oldest go.
 *
 * SQLite before 3.51.3 can damage a file in write-ahead mode when two connections write or
 * checkpoint at the same moment. Hence readers are query_only, with automatic checkpoints off
 * and none on close, and the writer's connection stays on the writer's thread.
 */
#include "base/log.h"
#include "store/engine.h"

#include <errno.h>

LOG_MODULE("store.sqlite");

#define STATEMENTS_MAX 200
#define READERS_IDLE_MAX 16

struct statement {
    sqlite3_stmt *stmt;
    UT_hash_handle hh;
    char sql[];
};

int sqlite_errno(sqlite3 *db, int rc)
{
    log_debug("sqlite failed", KV("code", rc), KV("message", db ? sqlite3_errmsg(db) : sqlite3_errstr(rc)));
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
        return -EACCES;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EUCLEAN;
    case SQLITE_CANTOPEN:
        return -ENOENT;
    case SQLITE_CONSTRAINT:
        return -EEXIST;
    case SQLITE_TOOBIG:
        return -EFBIG;
    default:
        return -EIO;
    }
}

int connection_exec(struct connection *c, const char *sql)
{
    int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : sqlite_errno(c->db, rc);
}

static int connection_setup(struct connection *c, enum role role)
{
    (void)sqlite3_busy_timeout(c->db, 10000);
    (void)sqlite3_extended_result_codes(c->db, 1);
    (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    int rc = regexp_register(c->db);
    if (rc != SQLITE_OK)
        return sqlite_errno(c->db, rc);
    if (role == ROLE_WRITER)
        return connection_exec(c, c->store->relaxed ?
            "PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-2048; PRAGMA temp_store=2; "
            "PRAGMA journal_size_limit=16777216; PRAGMA synchronous=OFF" :
            "PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-2048; PRAGMA temp_store=2; "
            "PRAGMA journal_size_limit=16777216; PRAGMA synchronous=FULL");
    (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return connection_exec(c, "PRAGMA query_only=1; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-1024; "
                              "PRAGMA temp_store=2");
}

int connection_open(struct store *s, enum role role, struct connection **ret)
{
    struct connection *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->store = s;
    c->generation = s->generation;
    c->sql = BUF_MAX((size_t)1 << 20);
    c->document = BUF_MAX(DOCUMENT_MAX);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                (role == ROLE_WRITER ? SQLITE_OPEN_CREATE : 0);
    int rc = sqlite3_open_v2(s->path, &c->db, flags, NULL);
    int r = rc == SQLITE_OK ? connection_setup(c, role) : sqlite_errno(c->db, rc);
    c->fixed = calloc(s->n_tables * SQL_FIXED + 1, sizeof(*c->fixed));
    if (r == 0 && !c->fixed)
        r = -ENOMEM;
    if (r < 0) {
        connection_close(c);
        return r;
    }
    *ret = c;
    return 0;
}

void connection_close(struct connection *c)
{
    if (!c)
        return;
    struct statement *st, *next;
    HASH_ITER(hh, c->statements, st, next) {
        HASH_DEL(c->statements, st);
        (void)sqlite3_finalize(st->stmt);
        free(st);
    }
    for (size_t i = 0; c->fixed && i < c->store->n_tables * SQL_FIXED; i++)
        (void)sqlite3_finalize(c->fixed[i]);
    free(c->fixed);
    (void)sqlite3_close(c->db);
    buf_done(&c->sql);
    buf_done(&c->document);
    free(c);
}

static int prepare(struct connection *c, const char *sql, sqlite3_stmt **ret)
{
    int rc = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
    if (rc == SQLITE_OK)
        return 0;
    log_debug("a statement is wrong", KV("sql", sql));
    return sqlite_errno(c->db, rc);
}

int connection_prepare(struct connection *c, const char *sql, sqlite3_stmt **ret)
{
    struct statement *st;
    size_t n = strlen(sql);
    HASH_FIND(hh, c->statements, sql, n, st);
    if (st) {
        *ret = st->stmt;
        return 0;
    }
    if (HASH_COUNT(c->statements) >= STATEMENTS_MAX) {
        for (struct statement *old = c->statements; old; old = old->hh.next) {
            if (sqlite3_stmt_busy(old->stmt))
                continue;
            HASH_DEL(c->statements, old);
            (void)sqlite3_finalize(old->stmt);
            free(old);
            break;
        }
    }
    st = calloc(1, sizeof(*st) + n + 1);
    if (!st)
        return -ENOMEM;
    memcpy(st->sql, sql, n + 1);
    int r = prepare(c, sql, &st->stmt);
    if (r < 0) {
        free(st);
        return r;
    }
    HASH_ADD_KEYPTR(hh, c->statements, st->sql, n, st);
    if (!st->hh.tbl) {
        (void)sqlite3_finalize(st->stmt);
        free(st);
        return -ENOMEM;
    }
    *ret = st->stmt;
    return 0;
}

int connection_fixed(struct connection *c, const struct table *t, enum fixed which, sqlite3_stmt **ret)
{
    sqlite3_stmt **slot = &c->fixed[t->index * SQL_FIXED + which];
    if (!*slot) {
        buf_clear(&c->sql);
        table_fixed_sql(t, which, &c->sql);
        int r = buf_error(&c->sql) ? buf_error(&c->sql) : prepare(c, buf_text(&c->sql), slot);
        if (r < 0)
            return r;
    }
    *ret = *slot;
    return 0;
}

void statement_done(sqlite3_stmt *stmt)
{
    if (stmt) {
        (void)sqlite3_reset(stmt);
        (void)sqlite3_clear_bindings(stmt);
    }
}

int statement_row(struct connection *c, sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        return 1;
    int r = rc == SQLITE_DONE ? 0 : sqlite_errno(c->db, rc);
    statement_done(stmt);
    return r;
}

int statement_run(struct connection *c, sqlite3_stmt *stmt)
{
    int r;
    do
        r = statement_row(c, stmt);
    while (r > 0);
    return r;
}

int reader_take(struct store *s, struct connection **ret)
{
    for (;;) {
        pthread_mutex_lock(&s->pool_lock);
        struct connection *c = s->pool;
        if (c) {
            s->pool = c->next;
            s->n_idle--;
        }
        pthread_mutex_unlock(&s->pool_lock);
        if (!c)
            return connection_open(s, ROLE_READER, ret);
        if (c->generation == s->generation) {
            *ret = c;
            return 0;
        }
        connection_close(c);
    }
}

void reader_give(struct store *s, struct connection *c)
{
    /* The last one used is the next one taken: its pages are warm. */
    pthread_mutex_lock(&s->pool_lock);
    bool keep = s->n_idle < READERS_IDLE_MAX && c->generation == s->generation;
    if (keep) {
        c->next = s->pool;
        s->pool = c;
        s->n_idle++;
    }
    pthread_mutex_unlock(&s->pool_lock);
    if (!keep)
        connection_close(c);
}
