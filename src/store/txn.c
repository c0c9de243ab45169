/*
 * What a transaction does with single objects: read, write, delete, and their keys.
 *
 * A closure's failure to write sticks to its transaction: one that overlooks it does not commit.
 */
#include "base/effect.h"
#include "base/log.h"
#include "store/engine.h"

#include <errno.h>

LOG_MODULE("store");

struct arena *txn_arena(struct txn *t)
{
    return t->arena;
}

struct store *txn_store(struct txn *t)
{
    return t->store;
}

const struct table *store_table(const struct store *s, const struct kind *k)
{
    struct table *t;
    HASH_FIND_PTR(s->by_kind, &k, t);
    assert(t);      /* a kind that store_open() was not told */
    return t;
}

int meta_read(struct connection *c, const char *name, int64_t otherwise, int64_t *ret)
{
    sqlite3_stmt *stmt;
    int r = connection_prepare(c, "SELECT value FROM meta WHERE name=?", &stmt);
    if (r < 0)
        return r;
    (void)sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    r = statement_row(c, stmt);
    if (r < 0)
        return r;
    *ret = r ? sqlite3_column_int64(stmt, 0) : otherwise;
    if (r)
        statement_done(stmt);
    return 0;
}

int meta_write(struct connection *c, const char *name, int64_t value)
{
    sqlite3_stmt *stmt;
    int r = connection_prepare(c, "INSERT INTO meta(name, value) VALUES(?,?) "
                                  "ON CONFLICT(name) DO UPDATE SET value=excluded.value", &stmt);
    if (r < 0)
        return r;
    (void)sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(stmt, 2, value);
    return statement_run(c, stmt);
}

uint64_t txn_revision(struct txn *t)
{
    int64_t n = 0;
    if (!t->writing && t->revision == 0 && meta_read(t->conn, "revision", 0, &n) == 0)
        t->revision = (uint64_t)n;
    return t->revision;
}

/* ---- reading ---- */

int store_read(struct store *s, struct arena *a, struct txn **ret)
{
    struct connection *c;
    int r = reader_take(s, &c);
    if (r < 0)
        return r;
    sqlite3_stmt *begin;
    r = connection_prepare(c, "BEGIN", &begin);
    if (r == 0)
        r = statement_run(c, begin);
    if (r < 0) {
        reader_give(s, c);
        return r;
    }
    c->txn = (struct txn){ .store = s, .conn = c, .arena = a };
    *ret = &c->txn;
    return 0;
}

void txn_done(struct txn *t)
{
    struct connection *c = t->conn;
    sqlite3_stmt *end;
    assert(!t->writing);
    if (connection_prepare(c, "COMMIT", &end) < 0 || statement_run(c, end) < 0)
        (void)connection_exec(c, "ROLLBACK");
    reader_give(t->store, c);
}

int document_decode(const struct table *t, const char *text, size_t n, uint64_t revision, struct arena *a, void **ret)
{
    struct object *object = arena_alloc(a, t->kind->schema->size);
    int r = object ? schema_read_document(t->kind->schema, text, n, a, object) : -ENOMEM;
    if (r < 0) {
        if (r == -EUCLEAN)
            log_error("a document is damaged", KV("kind", t->kind->name));
        return r;
    }
    object->revision = revision;
    *ret = object;
    return 0;
}

/* 1 with the row under the statement, 0 without one. */
static int get_row(struct txn *t, const struct table *tab, const char *id, sqlite3_stmt **ret)
{
    int r = connection_fixed(t->conn, tab, SQL_GET, ret);
    if (r < 0)
        return r;
    (void)sqlite3_bind_text(*ret, 1, id, -1, SQLITE_STATIC);
    return statement_row(t->conn, *ret);
}

int txn_get_(struct txn *t, const struct kind *k, const char *id, void **ret)
{
    const struct table *tab = store_table(t->store, k);
    sqlite3_stmt *stmt;
    *ret = NULL;
    if (str_empty(id))
        return 0;
    int r = get_row(t, tab, id, &stmt);
    if (r <= 0)
        return r;
    const char *text = (const char *)sqlite3_column_text(stmt, 0);
    r = text ? document_decode(tab, text, (size_t)sqlite3_column_bytes(stmt, 0),
                               (uint64_t)sqlite3_column_int64(stmt, 1), t->arena, ret) : -ENOMEM;
    statement_done(stmt);
    return r;
}

int txn_get_text(struct txn *t, const struct kind *k, const char *id, const char **ret)
{
    sqlite3_stmt *stmt;
    *ret = NULL;
    if (str_empty(id))
        return 0;
    int r = get_row(t, store_table(t->store, k), id, &stmt);
    if (r <= 0)
        return r;
    *ret = arena_strdup(t->arena, (const char *)sqlite3_column_text(stmt, 0));
    statement_done(stmt);
    return *ret ? 0 : -ENOMEM;
}

/* ---- writing ---- */

static int broken(struct txn *t, int r)
{
    if (r < 0)
        t->broken = r;
    return r;
}

/* Another object that has this unique key: 1; none: 0. */
static int key_taken(struct connection *c, const struct table *tab, const struct key *key, const char *id)
{
    sqlite3_stmt *stmt;
    int r = connection_prepare(c, "SELECT 1 FROM keys WHERE kind=? AND name=? AND value=? AND uniq=1 AND id<>?", &stmt);
    if (r < 0)
        return r;
    (void)sqlite3_bind_int(stmt, 1, tab->number);
    (void)sqlite3_bind_text(stmt, 2, key->name, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(stmt, 3, key->value, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(stmt, 4, id, -1, SQLITE_STATIC);
    r = statement_row(c, stmt);
    if (r > 0)
        statement_done(stmt);
    return r;
}

static int keys_read(struct connection *c, const struct table *tab, const char *id, struct key_sink *ret)
{
    sqlite3_stmt *stmt;
    int r = connection_prepare(c, "SELECT name, value, uniq FROM keys INDEXED BY keys_id "
                                  "WHERE kind=? AND id=? ORDER BY name, value", &stmt);
    if (r < 0)
        return r;
    (void)sqlite3_bind_int(stmt, 1, tab->number);
    (void)sqlite3_bind_text(stmt, 2, id, -1, SQLITE_STATIC);
    while ((r = statement_row(c, stmt)) > 0) {
        struct key k = { arena_strdup(ret->arena, (const char *)sqlite3_column_text(stmt, 0)),
                         arena_strdup(ret->arena, (const char *)sqlite3_column_text(stmt, 1)),
                         sqlite3_column_int(stmt, 2) };
        if (!k.name || !k.value || !vec_push(ret->arena, &ret->keys, k)) {
            statement_done(stmt);
            return -ENOMEM;
        }
    }
    return r;
}

static int key_change(struct connection *c, const struct table *tab, const char *id, const struct key *k, bool add)
{
    sqlite3_stmt *stmt;
    int r = connection_prepare(c, add ? "INSERT INTO keys(kind, name, value, id, uniq) VALUES(?,?,?,?,?)"
                                      : "DELETE FROM keys WHERE kind=? AND name=? AND value=? AND id=?", &stmt);
    if (r < 0)
        return r;
    (void)sqlite3_bind_int(stmt, 1, tab->number);
    (void)sqlite3_bind_text(stmt, 2, k->name, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(stmt, 3, k->value, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(stmt, 4, id, -1, SQLITE_STATIC);
    if (add)
        (void)sqlite3_bind_int(stmt, 5, k->unique);
    return statement_run(c, stmt);
}

int keys_write(struct connection *c, const struct table *tab, const char *id, const struct key_sink *wanted,
               struct arena *a)
{
    struct key_sink old = { .arena = a };
    int r = keys_read(c, tab, id, &old);
    /* Both are sorted: what only one side has is to be changed. Most puts change none. */
    size_t i = 0, j = 0;
    while (r == 0 && (i < old.keys.n || j < wanted->keys.n)) {
        const struct key *x = i < old.keys.n ? &old.keys.v[i] : NULL;
        const struct key *y = j < wanted->keys.n ? &wanted->keys.v[j] : NULL;
        int order = !x ? 1 : !y ? -1 : strcmp(x->name, y->name);
        if (order == 0 && x && y)
            order = strcmp(x->value, y->value);
        if (order < 0 || (order == 0 && x->unique != y->unique))
            r = key_change(c, tab, id, x, false);
        if (r == 0 && (order > 0 || (order == 0 && x->unique != y->unique)))
            r = key_change(c, tab, id, y, true);
        i += order <= 0;
        j += order >= 0;
    }
    return r;
}

/* The host that the object as it is stored now is on; null where it has none. */
static int host_read(struct txn *t, const struct table *tab, const char *id, const char **ret)
{
    sqlite3_stmt *stmt;
    *ret = NULL;
    if (!tab->host)
        return 0;
    int r = connection_fixed(t->conn, tab, SQL_HOST, &stmt);
    if (r < 0)
        return r;
    (void)sqlite3_bind_text(stmt, 1, id, -1, SQLITE_STATIC);
    r = statement_row(t->conn, stmt);
    if (r <= 0)
        return r;
    *ret = arena_strdup(t->arena, (const char *)sqlite3_column_text(stmt, 0));
    statement_done(stmt);
    return 0;
}

/* 'object' is null when it was deleted. */
static int change_note(struct txn *t, const struct table *tab, const char *id, const void *object,
                       const char *host_before)
{
    if (t->n_changes >> CHANGE_BITS)
        return -E2BIG;
    sqlite3_stmt *stmt;
    int r = connection_prepare(t->conn, "INSERT INTO changes(seq, kind, id, deleted, host, host_before) "
                                        "VALUES(?,?,?,?,?,?)", &stmt);
    if (r < 0)
        return r;
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)((t->revision + 1) << CHANGE_BITS | t->n_changes++));
    (void)sqlite3_bind_int(stmt, 2, tab->number);
    (void)sqlite3_bind_text(stmt, 3, id, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(stmt, 4, object == NULL);
    if (object && tab->host)
        (void)sqlite3_bind_text(stmt, 5, *(const char *const *)field_at(tab->host->field, object), -1, SQLITE_STATIC);
    if (host_before)
        (void)sqlite3_bind_text(stmt, 6, host_before, -1, SQLITE_STATIC);
    t->store->touched[tab->index] = true;
    return statement_run(t->conn, stmt);
}

static int put_row(struct txn *t, const struct table *tab, const struct object *object)
{
    struct connection *c = t->conn;
    buf_clear(&c->document);
    struct json_out out = JSON_OUT(&c->document);
    schema_encode(tab->kind->schema, object, &(struct encode_options){ .stored = true }, &out);
    int r = buf_error(&c->document);
    sqlite3_stmt *stmt;
    if (r == 0)
        r = connection_fixed(c, tab, SQL_PUT, &stmt);
    if (r < 0)
        return r;
    int rc = sqlite3_bind_text(stmt, 1, object->id, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 2, (int64_t)t->revision + 1);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 3, buf_text(&c->document), (int)c->document.len, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = table_bind(tab, stmt, 4, object);
    if (rc != SQLITE_OK) {
        statement_done(stmt);
        return sqlite_errno(c->db, rc);
    }
    r = statement_run(c, stmt);
    if (c->document.cap > (size_t)1 << 20)
        buf_done(&c->document);
    return r;
}

int txn_put(struct txn *t, const struct kind *k, const void *object)
{
    const struct table *tab = store_table(t->store, k);
    const struct object *head = object;
    assert(t->writing && !str_empty(head->id));
    assert(strlen(head->id) < sizeof((struct change){ 0 }.id));
    int r = effect("store.put");
    if (r < 0)
        return broken(t, r);
    struct key_sink keys = { .arena = t->arena };
    bool keyed = table_has_keys(tab);
    if (keyed && (r = table_keys(tab, object, t->arena, &keys)) < 0)
        return broken(t, r);
    for (size_t i = 0; i < keys.keys.n; i++) {
        if (!keys.keys.v[i].unique)
            continue;
        r = key_taken(t->conn, tab, &keys.keys.v[i], head->id);
        if (r)
            return r < 0 ? broken(t, r) : TXN_TAKEN;
    }
    const char *host_before;
    r = host_read(t, tab, head->id, &host_before);
    if (r == 0)
        r = put_row(t, tab, head);
    if (r == 0 && keyed)
        r = keys_write(t->conn, tab, head->id, &keys, t->arena);
    if (r == 0)
        r = change_note(t, tab, head->id, object, host_before);
    return broken(t, r);
}

int txn_delete(struct txn *t, const struct kind *k, const char *id)
{
    const struct table *tab = store_table(t->store, k);
    assert(t->writing && id);
    int r = effect("store.delete");
    if (r < 0)
        return broken(t, r);
    sqlite3_stmt *stmt;
    const char *host_before;
    r = host_read(t, tab, id, &host_before);
    if (r == 0)
        r = connection_fixed(t->conn, tab, SQL_DELETE, &stmt);
    if (r < 0)
        return broken(t, r);
    (void)sqlite3_bind_text(stmt, 1, id, -1, SQLITE_STATIC);
    r = statement_run(t->conn, stmt);
    if (r < 0)
        return broken(t, r);
    if (sqlite3_changes(t->conn->db) == 0)
        return 0;
    if (table_has_keys(tab)) {
        const struct key_sink none = { .arena = t->arena };
        r = keys_write(t->conn, tab, id, &none, t->arena);
    }
    if (r == 0)
        r = change_note(t, tab, id, NULL, host_before);
    return broken(t, r);
}
