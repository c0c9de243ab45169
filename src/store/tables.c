/*
 * A kind as it is stored: which columns, indexes and keys follow from its declaration.
 *
 * Text columns hold null for "" too, so that "is not set" is one question. Booleans are 0 and 1,
 * times microseconds. Each index ends with the id, the last sort key of every list, so that a
 * page is read from the index in order and nothing is sorted.
 */
#include "store/engine.h"

#include <errno.h>

static const struct column COLUMN_ID = { "id", NULL, VALUE_TEXT, false };
static const struct column COLUMN_REVISION = { "revision", NULL, VALUE_INT, false };

static enum value_type column_type(const struct field *f)
{
    switch (f->type) {
    case FIELD_STRING:
    case FIELD_JSON:
        return VALUE_TEXT;
    case FIELD_INT:
    case FIELD_BOOL:
    case FIELD_TRI:
    case FIELD_TIME:
        return VALUE_INT;
    case FIELD_DOUBLE:
        return VALUE_REAL;
    case FIELD_STRINGS:
    case FIELD_MAP:
    case FIELD_OBJECT:
    case FIELD_OBJECTS:
        break;
    }
    return VALUE_NULL;
}

int table_new(const struct kind *k, struct table **ret)
{
    struct table *t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->kind = k;
    t->columns = calloc(k->schema->n + 1, sizeof(*t->columns));
    t->lists = calloc(k->schema->n + 1, sizeof(*t->lists));
    if (!t->columns || !t->lists) {
        table_free(t);
        return -ENOMEM;
    }
    for (size_t i = 0; i < k->schema->n; i++) {
        const struct field *f = &k->schema->fields[i];
        bool host = str_eq(k->host_field, f->name);
        if (!(host || f->flags & (FILTER | SORT | INDEX)) || (f->flags & NOT_STORED) || STREQ(f->name, "id"))
            continue;
        if (f->type == FIELD_STRINGS)
            t->lists[t->n_lists++] = f;
        else if (column_type(f) != VALUE_NULL)
            t->columns[t->n_columns++] = (struct column){ f->name, f, column_type(f), f->flags & SORT_NOCASE };
    }
    if (k->host_field)
        t->host = table_column(t, k->host_field);
    *ret = t;
    return 0;
}

void table_free(struct table *t)
{
    if (!t)
        return;
    free(t->columns);
    free(t->lists);
    free(t);
}

const struct column *table_column(const struct table *t, const char *name)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (STREQ(t->columns[i].name, name))
            return &t->columns[i];
    if (STREQ(name, "id"))
        return &COLUMN_ID;
    return STREQ(name, "revision") ? &COLUMN_REVISION : NULL;
}

bool table_has_list(const struct table *t, const char *name)
{
    for (size_t i = 0; i < t->n_lists; i++)
        if (STREQ(t->lists[i]->name, name))
            return true;
    return false;
}

bool table_has_keys(const struct table *t)
{
    return t->kind->keys || t->n_lists;
}

void sql_name(struct buf *b, const char *name)
{
    buf_addc(b, '"');
    for (; *name; name++) {
        if (*name == '"')
            buf_addc(b, '"');
        buf_addc(b, *name);
    }
    buf_addc(b, '"');
}

static const char *const TYPE_SQL[] = { [VALUE_TEXT] = "TEXT", [VALUE_INT] = "INTEGER", [VALUE_REAL] = "REAL" };

void table_shape(const struct table *t, struct buf *out)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        const struct column *c = &t->columns[i];
        buf_printf(out, "%s %s%s%s,", c->name, TYPE_SQL[c->type], c->nocase ? " nocase" : "",
                   c->field->flags & INDEX ? " index of values" : "");
    }
    for (const char *const *x = t->kind->indexes; x && *x; x++)
        buf_printf(out, "(%s),", *x);
    for (size_t i = 0; i < t->n_lists; i++)
        buf_printf(out, "%s key,", t->lists[i]->name);
    /* What a function emits can't be compared: a new version of the program asks it again. */
    if (t->kind->keys)
        buf_printf(out, "keys %d of " YUNDUO_VERSION, t->kind->keys_version);
}

/* An index of one column leaves out the rows without a value. They are never looked for by it, and
 * where most rows are such (servers that have no host yet) the planner's statistics would tell that
 * the index is worth nothing and every lookup would read the whole table. */
static void index_sql(const struct table *t, size_t n, const char *columns, bool values_only, struct buf *out)
{
    char name[160];
    (void)snprintf(name, sizeof(name), "%s/%zu", t->kind->name, n);
    buf_adds(out, "CREATE INDEX ");
    sql_name(out, name);
    buf_adds(out, " ON ");
    sql_name(out, t->kind->name);
    buf_addc(out, '(');
    bool id = false;
    for (const char *s = columns; *s;) {
        size_t len = strcspn(s, ", ");
        char one[128];
        (void)snprintf(one, sizeof(one), "%.*s", (int)len, s);
        if (len) {
            sql_name(out, one);
            buf_addc(out, ',');
            id = STREQ(one, "id");
        }
        s += len;
        s += *s != 0;
    }
    if (id)
        out->len--;
    else
        buf_adds(out, "id");
    buf_addc(out, ')');
    if (values_only) {
        buf_adds(out, " WHERE ");
        sql_name(out, columns);
        buf_adds(out, " IS NOT NULL");
    }
    buf_addc(out, ';');
}

void table_create_sql(const struct table *t, struct buf *out)
{
    buf_adds(out, "CREATE TABLE ");
    sql_name(out, t->kind->name);
    buf_adds(out, "(id TEXT PRIMARY KEY NOT NULL, revision INTEGER NOT NULL");
    for (size_t i = 0; i < t->n_columns; i++) {
        buf_adds(out, ", ");
        sql_name(out, t->columns[i].name);
        buf_printf(out, " %s%s", TYPE_SQL[t->columns[i].type], t->columns[i].nocase ? " COLLATE NOCASE" : "");
    }
    buf_adds(out, ", doc TEXT NOT NULL);");
    size_t n = 0;
    for (size_t i = 0; i < t->n_columns; i++)
        if (t->columns[i].field->flags & INDEX)
            index_sql(t, n++, t->columns[i].name, true, out);
    for (const char *const *x = t->kind->indexes; x && *x; x++)
        index_sql(t, n++, *x, false, out);
}

static void put_sql(const struct table *t, struct buf *out)
{
    buf_adds(out, "INSERT INTO ");
    sql_name(out, t->kind->name);
    buf_adds(out, "(id, revision, doc");
    for (size_t i = 0; i < t->n_columns; i++) {
        buf_adds(out, ", ");
        sql_name(out, t->columns[i].name);
    }
    buf_adds(out, ") VALUES(?,?,?");
    for (size_t i = 0; i < t->n_columns; i++)
        buf_adds(out, ",?");
    buf_adds(out, ") ON CONFLICT(id) DO UPDATE SET revision=excluded.revision, doc=excluded.doc");
    for (size_t i = 0; i < t->n_columns; i++) {
        buf_adds(out, ", ");
        sql_name(out, t->columns[i].name);
        buf_adds(out, "=excluded.");
        sql_name(out, t->columns[i].name);
    }
}

void table_fixed_sql(const struct table *t, enum fixed which, struct buf *out)
{
    switch (which) {
    case SQL_GET:
        buf_adds(out, "SELECT doc, revision FROM ");
        sql_name(out, t->kind->name);
        buf_adds(out, " WHERE id=?");
        break;
    case SQL_PUT:
        put_sql(t, out);
        break;
    case SQL_DELETE:
        buf_adds(out, "DELETE FROM ");
        sql_name(out, t->kind->name);
        buf_adds(out, " WHERE id=?");
        break;
    case SQL_HOST:
        buf_adds(out, "SELECT ");
        sql_name(out, t->host->name);
        buf_adds(out, " FROM ");
        sql_name(out, t->kind->name);
        buf_adds(out, " WHERE id=?");
        break;
    case SQL_FIXED:
        break;
    }
}

static int bind_field(sqlite3_stmt *stmt, int at, const struct field *f, const void *object)
{
    const void *p = field_at(f, object);
    switch (f->type) {
    case FIELD_STRING:
    case FIELD_JSON: {
        const char *s = *(const char *const *)p;
        return str_empty(s) ? sqlite3_bind_null(stmt, at) : sqlite3_bind_text(stmt, at, s, -1, SQLITE_STATIC);
    }
    case FIELD_INT: {
        int64_t n = *(const int64_t *)p;
        return n == INT_NULL ? sqlite3_bind_null(stmt, at) : sqlite3_bind_int64(stmt, at, n);
    }
    case FIELD_DOUBLE:
        return sqlite3_bind_double(stmt, at, *(const double *)p);
    case FIELD_BOOL:
        return sqlite3_bind_int(stmt, at, *(const bool *)p);
    case FIELD_TRI: {
        int8_t v = *(const int8_t *)p;
        return v == TRI_NULL ? sqlite3_bind_null(stmt, at) : sqlite3_bind_int(stmt, at, v == TRI_TRUE);
    }
    case FIELD_TIME: {
        usec_t v = *(const usec_t *)p;
        return v == 0 ? sqlite3_bind_null(stmt, at) : sqlite3_bind_int64(stmt, at, v);
    }
    case FIELD_STRINGS:
    case FIELD_MAP:
    case FIELD_OBJECT:
    case FIELD_OBJECTS:
        break;
    }
    return sqlite3_bind_null(stmt, at);
}

int table_bind(const struct table *t, sqlite3_stmt *stmt, int at, const void *object)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; i < t->n_columns && rc == SQLITE_OK; i++)
        rc = bind_field(stmt, at + (int)i, t->columns[i].field, object);
    return rc;
}

static void sink_add(struct key_sink *k, const char *name, const char *value, bool unique)
{
    if (!value)
        return;
    /* The value may stand in a buffer of the function that emits it. */
    const char *copy = arena_strdup(k->arena, value);
    if (copy)
        (void)vec_push(k->arena, &k->keys, ((struct key){ name, copy, unique }));
}

void key_add(struct key_sink *k, const char *name, const char *value)
{
    sink_add(k, name, value, false);
}

void key_add_unique(struct key_sink *k, const char *name, const char *value)
{
    sink_add(k, name, value, true);
}

static int key_order(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    int r = strcmp(x->name, y->name);
    return r ? r : strcmp(x->value, y->value);
}

int table_keys(const struct table *t, const void *object, struct arena *a, struct key_sink *ret)
{
    *ret = (struct key_sink){ .arena = a };
    for (size_t i = 0; i < t->n_lists; i++) {
        const struct strv *l = field_at(t->lists[i], object);
        for (size_t j = 0; j < l->n; j++)
            key_add(ret, t->lists[i]->name, l->v[j]);
    }
    if (t->kind->keys)
        t->kind->keys(object, ret);
    if (arena_failed(a))
        return -ENOMEM;
    size_t n = ret->keys.n, kept = 0;
    struct key *v = ret->keys.v;
    if (n > 1)
        qsort(v, n, sizeof(*v), key_order);
    for (size_t i = 0; i < n; i++) {
        if (kept && key_order(&v[kept - 1], &v[i]) == 0)
            v[kept - 1].unique |= v[i].unique;
        else
            v[kept++] = v[i];
    }
    ret->keys.n = kept;
    return 0;
}
