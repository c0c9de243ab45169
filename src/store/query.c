/*
 * Queries to SQL.
 *
 * The text holds names from declarations and question marks only; every value is a parameter, so
 * the same question has the same text and its statement is found prepared. Lists of values go in
 * as one JSON parameter for the same reason.
 *
 * Pages are found by the marker's own sort values, not by counting rows: a page deep in the list
 * costs what the first one does. Nulls come first ascending and last descending. Going back is
 * the same question with every direction turned, and the answer turned around.
 */
#include "base/log.h"
#include "store/engine.h"

#include <errno.h>

LOG_MODULE("store.query");

struct builder {
    struct txn *txn;
    const struct table *table;
    struct buf *sql;
    VEC_OF(struct value) values;
    int error;
};

static void add_value(struct builder *b, struct value v)
{
    if (!vec_push(b->txn->arena, &b->values, v))
        b->error = -ENOMEM;
    buf_addc(b->sql, '?');
}

static struct value text_value(const char *s)
{
    return (struct value){ .type = VALUE_TEXT, .text = s };
}

/* The text of a condition as the column holds it; null for what can't be in it. */
static struct value value_of(const struct column *c, const char *text)
{
    char *end;
    if (str_empty(text))
        return (struct value){ .type = VALUE_NULL };
    if (c->type == VALUE_TEXT)
        return text_value(text);
    if (c->type == VALUE_REAL) {
        double d = strtod(text, &end);
        return *end ? (struct value){ .type = VALUE_NULL } : (struct value){ .type = VALUE_REAL, .real = d };
    }
    if (c->field && (c->field->type == FIELD_BOOL || c->field->type == FIELD_TRI)) {
        bool yes = STREQ(text, "true") || STREQ(text, "True") || STREQ(text, "1");
        bool no = STREQ(text, "false") || STREQ(text, "False") || STREQ(text, "0");
        return yes || no ? (struct value){ .type = VALUE_INT, .number = yes } : (struct value){ .type = VALUE_NULL };
    }
    errno = 0;
    int64_t n = strtoll(text, &end, 10);
    if (*end || errno)
        return (struct value){ .type = VALUE_NULL };
    return (struct value){ .type = VALUE_INT, .number = n };
}

/* A JSON array of the values that the column can hold. */
static const char *json_values(struct builder *b, const struct column *c, const struct strv *list)
{
    _cleanup_(buf_done) struct buf text = BUF_MAX((size_t)8 << 20);
    struct json_out out = JSON_OUT(&text);
    json_open_array(&out);
    for (size_t i = 0; i < list->n; i++) {
        struct value v = c ? value_of(c, list->v[i]) : text_value(list->v[i]);
        if (v.type == VALUE_TEXT)
            json_string_out(&out, v.text);
        else if (v.type == VALUE_INT)
            json_int_out(&out, v.number);
        else if (v.type == VALUE_REAL)
            json_double_out(&out, v.real);
    }
    json_close_array(&out);
    const char *copy = buf_error(&text) ? NULL : arena_strdup(b->txn->arena, buf_text(&text));
    if (!copy)
        b->error = -ENOMEM;
    return copy;
}

static const char *like_escape(struct builder *b, const char *before, const char *text, const char *after)
{
    _cleanup_(buf_done) struct buf out = BUF_MAX((size_t)1 << 20);
    buf_adds(&out, before);
    for (const char *s = text; *s; s++) {
        if (*s == '%' || *s == '_' || *s == '\\')
            buf_addc(&out, '\\');
        buf_addc(&out, *s);
    }
    buf_adds(&out, after);
    const char *copy = buf_error(&out) ? NULL : arena_strdup(b->txn->arena, buf_text(&out));
    if (!copy)
        b->error = -ENOMEM;
    return copy;
}

static bool has_empty(const struct strv *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_empty(l->v[i]))
            return true;
    return false;
}

static void add_collate(struct builder *b, const struct column *c, bool nocase)
{
    if (nocase && !c->nocase && c->type == VALUE_TEXT)
        buf_adds(b->sql, " COLLATE NOCASE");
}

static void compare(struct builder *b, const struct column *c, const struct condition *w)
{
    static const char *const OPERATORS[] = {
        [Q_EQ] = "=", [Q_NE] = " IS NOT ", [Q_LT] = "<", [Q_LE] = "<=", [Q_GT] = ">", [Q_GE] = ">=",
    };
    struct value v = value_of(c, w->text);
    bool empty = str_empty(w->text);
    if (empty && (w->op == Q_EQ || w->op == Q_NE)) {
        sql_name(b->sql, c->name);
        buf_adds(b->sql, w->op == Q_EQ ? " IS NULL" : " IS NOT NULL");
        return;
    }
    if (v.type == VALUE_NULL) {
        /* Nothing in the column is equal to it, or less, or more. */
        buf_adds(b->sql, w->op == Q_NE ? "1" : "0");
        return;
    }
    sql_name(b->sql, c->name);
    buf_adds(b->sql, OPERATORS[w->op]);
    add_value(b, v);
    add_collate(b, c, w->nocase);
}

static void among(struct builder *b, const struct column *c, const struct condition *w)
{
    bool empty = has_empty(&w->list), not = w->op == Q_NOT_IN;
    buf_addc(b->sql, '(');
    sql_name(b->sql, c->name);
    /* Null is in the list if "" is. */
    buf_adds(b->sql, empty != not ? " IS NULL OR " : " IS NOT NULL AND ");
    sql_name(b->sql, c->name);
    add_collate(b, c, w->nocase);
    buf_adds(b->sql, not ? " NOT IN (SELECT value FROM json_each(" : " IN (SELECT value FROM json_each(");
    add_value(b, text_value(json_values(b, c, &w->list)));
    buf_adds(b->sql, ")))");
}

static void match_nocase(struct builder *b, const struct column *c, const struct condition *w, const char *text)
{
    sql_name(b->sql, c->name);
    buf_adds(b->sql, " LIKE ");
    add_value(b, text_value(like_escape(b, w->op == Q_STARTS ? "" : "%", text, w->op == Q_ENDS ? "" : "%")));
    buf_adds(b->sql, " ESCAPE '\\'");
}

static void match(struct builder *b, const struct column *c, const struct condition *w)
{
    const char *text = str_or(w->text, "");
    if (w->op == Q_REGEX) {
        buf_adds(b->sql, "regexp_match(");
        add_value(b, text_value(text));
        buf_addc(b->sql, ',');
        sql_name(b->sql, c->name);
        buf_adds(b->sql, w->nocase ? ",1)" : ",0)");
    } else if (!*text) {
        buf_adds(b->sql, "1");
    } else if (w->nocase || c->nocase) {
        match_nocase(b, c, w, text);
    } else if (w->op == Q_CONTAINS) {
        buf_adds(b->sql, "instr(");
        sql_name(b->sql, c->name);
        buf_addc(b->sql, ',');
        add_value(b, text_value(text));
        buf_adds(b->sql, ")>0");
    } else {
        /* substr() counts characters; the comparison is of bytes. */
        size_t n = 0;
        for (const char *s = text; *s; s++)
            n += ((unsigned char)*s & 0xc0) != 0x80;
        bool starts = w->op == Q_STARTS;
        buf_addc(b->sql, '(');
        if (starts && c->type == VALUE_TEXT) {
            sql_name(b->sql, c->name);      /* lets an index narrow it down */
            buf_adds(b->sql, ">=");
            add_value(b, text_value(text));
            buf_adds(b->sql, " AND ");
        }
        buf_adds(b->sql, "substr(");
        sql_name(b->sql, c->name);
        buf_addc(b->sql, ',');
        add_value(b, (struct value){ .type = VALUE_INT, .number = starts ? 1 : -(int64_t)n });
        buf_addc(b->sql, ',');
        add_value(b, (struct value){ .type = VALUE_INT, .number = (int64_t)n });
        buf_adds(b->sql, ")=");
        add_value(b, text_value(text));
        buf_addc(b->sql, ')');
    }
}

/* Has the object a key of this name, with one of these values? */
static void keyed(struct builder *b, const struct condition *w, bool not, bool any_value)
{
    buf_adds(b->sql, not ? "id NOT IN (SELECT id FROM keys WHERE kind=" : "id IN (SELECT id FROM keys WHERE kind=");
    add_value(b, (struct value){ .type = VALUE_INT, .number = b->table->number });
    buf_adds(b->sql, " AND name=");
    add_value(b, text_value(w->field));
    if (any_value) {
        ;
    } else if (w->list.n > 0 || !w->text) {
        buf_adds(b->sql, " AND value IN (SELECT value FROM json_each(");
        add_value(b, text_value(json_values(b, NULL, &w->list)));
        buf_adds(b->sql, "))");
    } else {
        buf_adds(b->sql, " AND value=");
        add_value(b, text_value(w->text));
    }
    buf_addc(b->sql, ')');
}

static void on_key(struct builder *b, const struct condition *w)
{
    switch (w->op) {
    case Q_KEY:
    case Q_EQ:
    case Q_IN:
        keyed(b, w, false, false);
        break;
    case Q_NO_KEY:
    case Q_NE:
    case Q_NOT_IN:
        keyed(b, w, true, false);
        break;
    case Q_NULL:
        keyed(b, w, true, true);
        break;
    case Q_NOT_NULL:
        keyed(b, w, false, true);
        break;
    default:
        b->error = -EINVAL;
    }
}

static void condition(struct builder *b, const struct condition *w)
{
    const struct column *c = table_column(b->table, w->field);
    if (w->op == Q_KEY || w->op == Q_NO_KEY || (!c && table_has_list(b->table, w->field))) {
        on_key(b, w);
    } else if (!c) {
        log_error("no such column", KV("kind", b->table->kind->name), KV("field", w->field));
        b->error = -EINVAL;
    } else if (w->op <= Q_GE) {
        compare(b, c, w);
    } else if (w->op == Q_IN || w->op == Q_NOT_IN) {
        among(b, c, w);
    } else if (w->op == Q_NULL || w->op == Q_NOT_NULL) {
        sql_name(b->sql, c->name);
        buf_adds(b->sql, w->op == Q_NULL ? " IS NULL" : " IS NOT NULL");
    } else {
        match(b, c, w);
    }
}

static void where(struct builder *b, const struct query *q)
{
    buf_adds(b->sql, " WHERE 1");
    for (size_t i = 0; i < q->where.n; i++) {
        unsigned any = q->where.v[i].any;
        bool seen = false;
        for (size_t j = 0; any && j < i; j++)
            seen |= q->where.v[j].any == any;
        if (seen)
            continue;
        /* A sign in front keeps SQLite from gathering rows by the alternatives. */
        buf_adds(b->sql, any && q->in_order ? " AND +(" : " AND (");
        condition(b, &q->where.v[i]);
        for (size_t j = i + 1; any && j < q->where.n; j++) {
            if (q->where.v[j].any != any)
                continue;
            buf_adds(b->sql, " OR ");
            condition(b, &q->where.v[j]);
        }
        buf_addc(b->sql, ')');
    }
}

/* ---- pages ---- */

struct order {
    const struct column *column;
    bool descending;
    struct value mark;
};

/* The sort keys with the id as the last. */
static struct order *order_of(struct builder *b, const struct query *q, size_t *ret_n)
{
    struct order *o = ARENA_NEWN(b->txn->arena, struct order, q->sort.n + 1);
    size_t n = 0;
    bool id = false;
    if (!o) {
        b->error = -ENOMEM;
        return NULL;
    }
    for (size_t i = 0; i < q->sort.n && !id; i++) {
        const struct column *c = table_column(b->table, q->sort.v[i].field);
        if (!c) {
            log_error("can't sort by this", KV("kind", b->table->kind->name), KV("field", q->sort.v[i].field));
            b->error = -EINVAL;
            return NULL;
        }
        id = STREQ(c->name, "id");
        o[n++] = (struct order){ .column = c, .descending = q->sort.v[i].descending != q->reverse };
    }
    if (!id)
        o[n++] = (struct order){ .column = table_column(b->table, "id"), .descending = q->reverse };
    *ret_n = n;
    return o;
}

/* Reads the marker's sort values: 1, or 0 where it is not there. */
static int mark_read(struct builder *b, const char *marker, struct order *o, size_t n)
{
    sqlite3_stmt *stmt;
    buf_clear(b->sql);
    for (size_t i = 0; i < n; i++) {
        buf_adds(b->sql, i ? ", " : "SELECT ");
        sql_name(b->sql, o[i].column->name);
    }
    buf_adds(b->sql, " FROM ");
    sql_name(b->sql, b->table->kind->name);
    buf_adds(b->sql, " WHERE id=?");
    int r = buf_error(b->sql);
    if (r == 0)
        r = connection_prepare(b->txn->conn, buf_text(b->sql), &stmt);
    if (r < 0)
        return r;
    (void)sqlite3_bind_text(stmt, 1, marker, -1, SQLITE_STATIC);
    r = statement_row(b->txn->conn, stmt);
    if (r <= 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        int column = (int)i;
        switch (sqlite3_column_type(stmt, column)) {
        case SQLITE_INTEGER:
            o[i].mark = (struct value){ .type = VALUE_INT, .number = sqlite3_column_int64(stmt, column) };
            break;
        case SQLITE_FLOAT:
            o[i].mark = (struct value){ .type = VALUE_REAL, .real = sqlite3_column_double(stmt, column) };
            break;
        case SQLITE_TEXT:
            o[i].mark = text_value(arena_strdup(b->txn->arena, (const char *)sqlite3_column_text(stmt, column)));
            break;
        default:
            o[i].mark = (struct value){ .type = VALUE_NULL };
        }
    }
    statement_done(stmt);
    return arena_failed(b->txn->arena) ? -ENOMEM : 1;
}

/* This key is beyond the marker's. */
static void beyond(struct builder *b, const struct order *o, bool or_equal)
{
    if (o->mark.type == VALUE_NULL) {
        if (or_equal)
            buf_adds(b->sql, o->descending ? "" : "1");
        if (or_equal && o->descending) {
            sql_name(b->sql, o->column->name);
            buf_adds(b->sql, " IS NULL");
        } else if (!or_equal && o->descending) {
            buf_adds(b->sql, "0");          /* nulls are the last */
        } else if (!or_equal) {
            sql_name(b->sql, o->column->name);
            buf_adds(b->sql, " IS NOT NULL");
        }
        return;
    }
    buf_addc(b->sql, '(');
    sql_name(b->sql, o->column->name);
    buf_adds(b->sql, o->descending ? "<" : ">");
    if (or_equal)
        buf_addc(b->sql, '=');
    add_value(b, o->mark);
    if (o->descending && o->column->field) {
        buf_adds(b->sql, " OR ");
        sql_name(b->sql, o->column->name);
        buf_adds(b->sql, " IS NULL");
    }
    buf_addc(b->sql, ')');
}

/* (a beyond) or (a equal and (b beyond or (b equal and ...))), with the first key's bound in
 * front, from which SQLite can start in an index. */
static void after_marker(struct builder *b, const struct order *o, size_t n)
{
    buf_adds(b->sql, " AND ");
    if (n > 1) {
        beyond(b, &o[0], true);
        buf_adds(b->sql, " AND ");
    }
    for (size_t i = 0; i < n; i++) {
        buf_addc(b->sql, '(');
        beyond(b, &o[i], false);
        if (i + 1 == n)
            break;
        buf_adds(b->sql, " OR (");
        sql_name(b->sql, o[i].column->name);
        if (o[i].mark.type == VALUE_NULL) {
            buf_adds(b->sql, " IS NULL AND ");
        } else {
            buf_addc(b->sql, '=');
            add_value(b, o[i].mark);
            buf_adds(b->sql, " AND ");
        }
    }
    for (size_t i = 0; i + 1 < n; i++)
        buf_adds(b->sql, "))");
    buf_addc(b->sql, ')');
}

static void order_by(struct builder *b, const struct order *o, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_adds(b->sql, i ? ", " : " ORDER BY ");
        sql_name(b->sql, o[i].column->name);
        buf_adds(b->sql, o[i].descending ? " DESC" : "");
    }
}

/* ---- running ---- */

static struct builder begin(struct txn *t, const struct kind *k)
{
    struct builder b = { .txn = t, .table = store_table(t->store, k), .sql = &t->conn->sql };
    buf_clear(b.sql);
    return b;
}

static int bind_values(struct builder *b, sqlite3_stmt **ret)
{
    int r = b->error ? b->error : buf_error(b->sql);
    if (r == 0)
        r = connection_prepare(b->txn->conn, buf_text(b->sql), ret);
    if (r < 0)
        return r;
    for (size_t i = 0; i < b->values.n; i++) {
        const struct value *v = &b->values.v[i];
        int at = (int)i + 1, rc = SQLITE_OK;
        switch (v->type) {
        case VALUE_TEXT:
            rc = sqlite3_bind_text(*ret, at, v->text, -1, SQLITE_STATIC);
            break;
        case VALUE_INT:
            rc = sqlite3_bind_int64(*ret, at, v->number);
            break;
        case VALUE_REAL:
            rc = sqlite3_bind_double(*ret, at, v->real);
            break;
        case VALUE_NULL:
            rc = sqlite3_bind_null(*ret, at);
            break;
        }
        if (rc != SQLITE_OK) {
            statement_done(*ret);
            return sqlite_errno(b->txn->conn->db, rc);
        }
    }
    return 0;
}

/* Rows of "doc, revision" into objects; 'limit' of them, 0: all. */
static int rows_read(struct builder *b, sqlite3_stmt *stmt, size_t limit, struct results *ret)
{
    int r;
    while ((r = statement_row(b->txn->conn, stmt)) > 0) {
        if (limit && ret->n == limit) {
            ret->more = true;
            break;
        }
        const char *text = (const char *)sqlite3_column_text(stmt, 0);
        void *object = NULL;
        r = text ? document_decode(b->table, text, (size_t)sqlite3_column_bytes(stmt, 0),
                                   (uint64_t)sqlite3_column_int64(stmt, 1), b->txn->arena, &object) : -ENOMEM;
        if (r == 0 && !vec_push(b->txn->arena, ret, object))
            r = -ENOMEM;
        if (r < 0)
            break;
    }
    statement_done(stmt);
    return r < 0 ? r : 0;
}

static int list(struct txn *t, const struct query *q, bool probe, struct results *ret)
{
    struct builder b = begin(t, q->kind);
    struct results found = { 0 };
    size_t n = 0;
    struct order *o = order_of(&b, q, &n);
    if (!o)
        return b.error;
    if (q->marker) {
        int r = mark_read(&b, q->marker, o, n);
        if (r < 0)
            return r;
        if (r == 0) {
            *ret = (struct results){ .marker_lost = true };
            return 0;
        }
        buf_clear(b.sql);
    }
    buf_adds(b.sql, "SELECT doc, revision FROM ");
    sql_name(b.sql, b.table->kind->name);
    where(&b, q);
    if (q->marker)
        after_marker(&b, o, n);
    order_by(&b, o, n);
    if (q->limit || q->offset) {
        buf_adds(b.sql, " LIMIT ");
        add_value(&b, (struct value){ .type = VALUE_INT, .number = q->limit ? (int64_t)q->limit + probe : -1 });
        buf_adds(b.sql, " OFFSET ");
        add_value(&b, (struct value){ .type = VALUE_INT, .number = (int64_t)q->offset });
    }
    sqlite3_stmt *stmt;
    int r = bind_values(&b, &stmt);
    if (r == 0)
        r = rows_read(&b, stmt, q->limit, &found);
    if (r < 0)
        return r;
    for (size_t i = 0; q->reverse && i < found.n / 2; i++) {
        void *object = found.v[i];
        found.v[i] = found.v[found.n - 1 - i];
        found.v[found.n - 1 - i] = object;
    }
    *ret = found;
    return 0;
}

int txn_list(struct txn *t, const struct query *q, struct results *ret)
{
    return list(t, q, true, ret);
}

int txn_find_(struct txn *t, const struct query *q, void **ret)
{
    struct query first = *q;
    struct results found;
    first.limit = 1;
    int r = list(t, &first, false, &found);
    if (r < 0)
        return r;
    *ret = found.n ? found.v[0] : NULL;
    return 0;
}

int txn_find_by_(struct txn *t, const struct kind *k, const char *field, const char *value, void **ret)
{
    struct query q = { .kind = k };
    bool column = table_column(store_table(t->store, k), field) != NULL;
    if (!query_where(&q, t->arena, field, column ? Q_EQ : Q_KEY, value))
        return -ENOMEM;
    return txn_find_(t, &q, ret);
}

static int one_number(struct builder *b, const struct query *q, int64_t *ret)
{
    buf_adds(b->sql, " FROM ");
    sql_name(b->sql, b->table->kind->name);
    where(b, q);
    sqlite3_stmt *stmt;
    int r = bind_values(b, &stmt);
    if (r == 0)
        r = statement_row(b->txn->conn, stmt);
    if (r <= 0)
        return r;
    *ret = sqlite3_column_int64(stmt, 0);
    statement_done(stmt);
    return 0;
}

int txn_count(struct txn *t, const struct query *q, uint64_t *ret)
{
    struct builder b = begin(t, q->kind);
    int64_t n = 0;
    buf_adds(b.sql, "SELECT count(*)");
    int r = one_number(&b, q, &n);
    if (r == 0)
        *ret = (uint64_t)n;
    return r;
}

int txn_sum(struct txn *t, const struct query *q, const char *field, int64_t *ret)
{
    struct builder b = begin(t, q->kind);
    if (!table_column(b.table, field)) {
        log_error("no such column", KV("kind", b.table->kind->name), KV("field", field));
        return -EINVAL;
    }
    buf_adds(b.sql, "SELECT coalesce(sum(");
    sql_name(b.sql, field);
    buf_adds(b.sql, "),0)");
    return one_number(&b, q, ret);
}

struct condition *query_where(struct query *q, struct arena *a, const char *field, enum query_op op, const char *text)
{
    struct condition *c = vec_add(a, &q->where);
    if (c)
        *c = (struct condition){ .field = field, .op = op, .text = arena_strdup(a, text) };
    return c;
}

bool query_sort(struct query *q, struct arena *a, const char *field, bool descending)
{
    return vec_push(a, &q->sort, ((struct sort_key){ field, descending }));
}
