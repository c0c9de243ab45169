/*
 * Lists: from the query string to a query, from results to a page.
 *
 * What the rows declare can be filtered and sorted by; how limits, markers and sort keys are
 * spelled is the service's list style.
 */
#include "api/resource.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

static bool is_arg(const char *arg, const char *name)
{
    return arg && STREQ(arg, name);
}

static bool style_arg(const struct list_style *s, const char *name)
{
    return is_arg(s->limit_arg, name) || is_arg(s->marker_arg, name) || is_arg(s->sort_key_arg, name) ||
           is_arg(s->sort_dir_arg, name) || is_arg(s->sort_arg, name) || is_arg(s->reverse_arg, name) ||
           is_arg(s->fields_arg, name);
}

/* The value as the store wants it; null when it can't be one of this row. */
static const char *filter_text(struct call *c, const struct field *f, const char *value)
{
    static const char *const YES[] = { "1", "true", "t", "yes", "y", "on" };
    static const char *const NO[] = { "0", "false", "f", "no", "n", "off" };
    char *end;
    usec_t when;
    switch (f->type) {
    case FIELD_BOOL:
    case FIELD_TRI:
        for (size_t i = 0; i < ARRAY_SIZE(YES); i++) {
            if (strcasecmp(value, YES[i]) == 0)
                return "true";
            if (strcasecmp(value, NO[i]) == 0)
                return "false";
        }
        return NULL;
    case FIELD_INT:
        (void)strtoll(value, &end, 10);
        return *value && !*end ? value : NULL;
    case FIELD_TIME:
        return time_parse(value, &when) == 0 ? arena_printf(c->arena, "%lld", (long long)when) : NULL;
    default:
        return value;
    }
}

/* Among the conditions from 'first' on: those before are the scope of the caller, which a filter
 * narrows and never widens. */
static struct condition *condition_on(struct query *q, size_t first, const char *field)
{
    for (struct condition *w = q->where.v + first; w < q->where.v + q->where.n; w++)
        if (STREQ(w->field, field) && (w->op == Q_EQ || w->op == Q_IN || w->op == Q_KEY) && !w->any)
            return w;
    return NULL;
}

/* The same argument again means: either. */
static int add_filter(struct call *c, struct query *q, size_t first, const struct field *f, const char *value)
{
    const char *text = filter_text(c, f, value);
    if (!text)
        return arena_failed(c->arena) ? -ENOMEM
                                      : call_fault(c, 400, "InvalidInput", "Invalid input for %s: '%s'.", f->name,
                                                   value);
    bool keyed = f->type == FIELD_STRINGS;
    struct condition *w = condition_on(q, first, f->name);
    if (!w) {
        w = query_where(q, c->arena, f->name, keyed ? Q_KEY : Q_EQ, text);
        return w ? 0 : -ENOMEM;
    }
    if (!w->list.n && !strv_add(c->arena, &w->list, w->text))
        return -ENOMEM;
    if (!keyed)
        w->op = Q_IN;
    return strv_add(c->arena, &w->list, text) ? 0 : -ENOMEM;
}

static int add_filters(struct call *c, const struct resource *r, const struct list_style *s, struct query *q)
{
    size_t first = q->where.n;
    VEC_FOREACH(arg, &c->http->args) {
        if (style_arg(s, arg->key))
            continue;
        int result = 1;
        if (r->filter)
            result = r->filter(c, q, arg->key, arg->value);
        if (result == 1 && c->fault.status)
            return FAULT;
        if (result < 0)
            return result;
        if (result == 0)
            continue;
        const struct field *f = schema_field(r->kind->schema, arg->key);
        /* the project's name of old */
        if (STREQ(arg->key, "tenant_id") && (!f || !(f->flags & FILTER)))
            f = schema_field(r->kind->schema, "project_id");
        bool keyed = f && f->type == FIELD_STRINGS && (f->flags & INDEX);
        if (f && ((f->flags & FILTER) || keyed)) {
            result = add_filter(c, q, first, f, arg->value);
            if (result)
                return result;
        } else if (s->bad_filter_is_error) {
            return call_fault(c, 400, "InvalidInput", "Unknown query parameter '%s'.", arg->key);
        }
    }
    return 0;
}

static int add_sort(struct call *c, const struct resource *r, struct query *q, const char *key, bool descending)
{
    const struct field *f = schema_field(r->kind->schema, key);
    if (!f || !(f->flags & (SORT | FILTER)))
        return call_fault(c, 400, "InvalidInput", "Invalid sort key: '%s'.", key);
    return query_sort(q, c->arena, f->name, descending) ? 0 : -ENOMEM;
}

static int direction(struct call *c, const char *text, bool *ret)
{
    *ret = false;
    if (!text || !*text || strcasecmp(text, "asc") == 0)
        return 0;
    if (strcasecmp(text, "desc") != 0)
        return call_fault(c, 400, "InvalidInput", "Invalid sort direction: '%s'.", text);
    *ret = true;
    return 0;
}

/* "name:desc,id" */
static int sort_list(struct call *c, const struct resource *r, struct query *q, const char *text)
{
    struct strv parts = { 0 };
    if (!strv_split(c->arena, &parts, text, ", "))
        return *text && arena_failed(c->arena) ? -ENOMEM : 0;
    VEC_FOREACH(part, &parts) {
        size_t n = strcspn(*part, ":");
        const char *key = arena_strndup(c->arena, *part, n);
        bool descending;
        int result = key ? direction(c, (*part)[n] ? *part + n + 1 : NULL, &descending) : -ENOMEM;
        if (result == 0)
            result = add_sort(c, r, q, key, descending);
        if (result)
            return result;
    }
    return 0;
}

static int add_sorts(struct call *c, const struct resource *r, const struct list_style *s, struct query *q)
{
    struct strv keys = { 0 }, dirs = { 0 };
    const char *combined = s->sort_arg ? call_arg(c, s->sort_arg) : NULL;
    if (combined)
        return sort_list(c, r, q, combined);
    VEC_FOREACH(arg, &c->http->args) {
        if (is_arg(s->sort_key_arg, arg->key) && !vec_push(c->arena, &keys, arg->value))
            return -ENOMEM;
        if (is_arg(s->sort_dir_arg, arg->key) && !vec_push(c->arena, &dirs, arg->value))
            return -ENOMEM;
    }
    for (size_t i = 0; i < keys.n; i++) {
        bool descending;
        int result = direction(c, i < dirs.n ? dirs.v[i] : dirs.n ? dirs.v[dirs.n - 1] : NULL, &descending);
        if (result == 0)
            result = add_sort(c, r, q, keys.v[i], descending);
        if (result)
            return result;
    }
    for (size_t i = 0; !keys.n && s->default_sort && s->default_sort[i]; i++) {
        int result = sort_list(c, r, q, s->default_sort[i]);
        if (result)
            return result;
    }
    return 0;
}

static int set_limit(struct call *c, const struct list_style *s, struct query *q)
{
    int64_t limit;
    int r = s->limit_arg ? call_arg_int(c, s->limit_arg, 0, INT32_MAX, -1, &limit) : (limit = -1, 0);
    if (r)
        return r;
    if (limit < 0)
        limit = (int64_t)s->limit_default;
    else if (limit == 0 && !s->limit_zero_is_all)
        limit = -1;             /* none at all is asked for */
    if (s->limit_max && (limit == 0 || limit > (int64_t)s->limit_max))
        limit = (int64_t)s->limit_max;
    q->limit = limit < 0 ? 0 : (size_t)limit;
    /* An empty page is a query that nothing meets. */
    if (limit < 0 && !query_where(q, c->arena, "id", Q_NULL, NULL))
        return -ENOMEM;
    return 0;
}

static int default_scope(struct call *c, const struct resource *r, struct query *q)
{
    if (!schema_field(r->kind->schema, "project_id") || call_is_admin(c))
        return 0;
    const char *project = c->auth ? c->auth->project_id : NULL;
    return query_where(q, c->arena, "project_id", Q_EQ, str_or(project, "")) ? 0 : -ENOMEM;
}

int resource_query(struct call *c, const struct resource *r, struct query *q)
{
    static const struct list_style PLAIN = { .limit_arg = "limit", .marker_arg = "marker" };
    const struct list_style *s = c->service->list_style ? c->service->list_style : &PLAIN;
    q->kind = r->kind;
    int result = r->scope ? r->scope(c, q) : default_scope(c, r, q);
    if (result == 0)
        result = add_filters(c, r, s, q);
    if (result == 0)
        result = add_sorts(c, r, s, q);
    if (result == 0)
        result = set_limit(c, s, q);
    if (result)
        return result;
    q->marker = s->marker_arg ? call_arg(c, s->marker_arg) : NULL;
    q->reverse = s->reverse_arg && call_arg_bool(c, s->reverse_arg, false);
    return 0;
}

int resource_render_list(struct call *c, const struct resource *r, const struct results *l, const struct query *q,
                         bool full)
{
    const struct list_style *s = c->service->list_style;
    json_open_object(&c->out);
    json_put_array(&c->out, r->many);
    for (size_t i = 0; i < l->n; i++) {
        int result = resource_render(c, r, l->v[i], full, NULL, &c->out);
        if (result)
            return result;
    }
    json_close_array(&c->out);
    if (s && s->links)
        s->links(c, r, l, q, &c->out);
    json_close_object(&c->out);
    return 0;
}
