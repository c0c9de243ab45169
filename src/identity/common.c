/*
 * What most verbs of identity need: links, faults in Keystone's words, extra attributes,
 * options, targets of rules, filters.
 */
#include "identity/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- links ---- */

const char *v3_url(struct call *c, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    const char *path = arena_vprintf(c->arena, format, ap);
    va_end(ap);
    return arena_printf(c->arena, "%s/v3/%s", str_or(call_base_url(c), ""), str_or(path, ""));
}

void put_self(struct call *c, struct json_out *o, const char *collection, const char *id)
{
    json_put_object(o, "links");
    json_put_string(o, "self", arena_printf(c->arena, "%s/v3/%s/%s", call_base_url(c), collection, str_or(id, "")));
    json_close_object(o);
}

static void page_links(struct call *c, const struct resource *r, const struct results *l,
                       const struct query *q, struct json_out *o)
{
    (void)r;
    const char *last = l->n ? ((const struct object *)l->v[l->n - 1])->id : NULL;
    json_put_object(o, "links");
    json_put_string(o, "next", l->more && last ? call_link(c, "marker", last, NULL) : NULL);
    json_put_string(o, "self", call_link(c, "", NULL, NULL));
    json_put_null(o, "previous");
    json_close_object(o);
    if (l->more && q->limit)
        json_put_bool(o, "truncated", true);
}

const struct list_style IDENTITY_LIST_STYLE = {
    .limit_arg = "limit",
    .marker_arg = "marker",
    .sort_key_arg = "sort_key",
    .sort_dir_arg = "sort_dir",
    .limit_zero_is_all = true,
    .links = page_links,
};

void list_open(struct call *c, const char *many)
{
    json_open_object(&c->out);
    json_put_array(&c->out, many);
}

void list_close(struct call *c)
{
    json_close_array(&c->out);
    json_put_object(&c->out, "links");
    json_put_null(&c->out, "next");
    json_put_string(&c->out, "self", call_link(c, "", NULL, NULL));
    json_put_null(&c->out, "previous");
    json_close_object(&c->out);
    json_close_object(&c->out);
}

/* ---- extra attributes and options ---- */

void put_extra(struct json_out *o, const char *extra)
{
    char why[200];
    _cleanup_(json_decrefp) json_t *tree = extra ? json_parse(extra, strlen(extra), why, sizeof(why)) : NULL;
    const char *key;
    json_t *value;
    json_object_foreach(tree, key, value)
    {
        json_key(o, key);
        json_tree_out(o, value);
    }
}

static json_t *object_of(const char *text)
{
    char why[200];
    json_t *tree = text ? json_parse(text, strlen(text), why, sizeof(why)) : NULL;
    if (tree && !json_is_object(tree)) {
        json_decref(tree);
        tree = NULL;
    }
    return tree ? tree : json_object();
}

int extra_merge(struct call *c, const struct schema *s, const char *old, const char **ret)
{
    const char *key;
    json_t *value;
    _cleanup_(json_decrefp) json_t *all = NULL;
    json_object_foreach(c->body, key, value)
    {
        if (schema_field(s, key) || STREQ(key, "links"))
            continue;
        if (!all && !(all = object_of(old)))
            return -ENOMEM;
        if (json_object_set(all, key, value) < 0)
            return -ENOMEM;
    }
    *ret = all ? json_text(c->arena, all) : old;
    return all && !*ret ? -ENOMEM : 0;
}

void put_options(struct json_out *o, const char *options)
{
    json_put_raw(o, "options", options ? options : "{}");
}

/* *text is what the request gave; it becomes what is to be stored. A null value takes an option away. */
int options_merge(struct call *c, const char *old, const char **text, const char *const *known)
{
    char why[200];
    _cleanup_(json_decrefp) json_t *given = *text ? json_parse(*text, strlen(*text), why, sizeof(why)) : NULL;
    if (*text && !json_is_object(given))
        return bad_request(c, "Invalid input for field 'options': %s is not of type 'object'", *text);
    _cleanup_(json_decrefp) json_t *all = object_of(old);
    const char *key;
    json_t *value;
    json_object_foreach(given, key, value)
    {
        size_t i = 0;
        while (known[i] && !STREQ(known[i], key))
            i++;
        if (!known[i])
            return bad_request(c,
                               "Invalid input for field 'options': Additional properties are not allowed "
                               "('%.64s' was unexpected)",
                               key);
        bool list = strstr(key, "rules") != NULL;
        if (!json_is_null(value) && (list ? !json_is_array(value) : !json_is_boolean(value)))
            return bad_request(c, "Invalid input for field 'options/%s': it must be %s", key,
                               list ? "a list" : "a boolean");
        if (json_is_null(value))
            (void)json_object_del(all, key);
        else if (json_object_set(all, key, value) < 0)
            return -ENOMEM;
    }
    *text = json_object_size(all) ? json_text(c->arena, all) : NULL;
    return 0;
}

bool option_true(const char *options, const char *name)
{
    if (!options)
        return false;
    _cleanup_(json_decrefp) json_t *all = object_of(options);
    return json_is_true(json_object_get(all, name));
}

int refuse_immutable(struct call *c, const char *before, const char *after, const char *what, const char *id)
{
    if (!option_true(before, "immutable") || (after && !option_true(after, "immutable")))
        return 0;
    return call_fault(
        c, 403, "ResourceUpdateForbidden",
        "Unable to %s immutable %s resource: `%s. Set resource option \"immutable\" to false first.",
        after ? "update" : "delete", what, id);
}

/* ---- faults ---- */

int not_found_fault(struct fault *f, const char *what, const char *id)
{
    return fault_set(f, 404, "NotFound", "Could not find %s: %s.", what, str_or(id, ""));
}

int not_found(struct call *c, const char *what, const char *id)
{
    return not_found_fault(&c->fault, what, id);
}

int forbidden(struct call *c, const char *rule)
{
    return call_fault(c, 403, "Forbidden", "You are not authorized to perform the requested action: %s.",
                      rule);
}

int bad_request(struct call *c, const char *format, ...)
{
    char text[900];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    return call_fault(c, 400, "ValidationError", "%s", text);
}

int conflict(struct call *c, const char *format, ...)
{
    char text[900];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    return call_fault(c, 409, "Conflict", "%s", text);
}

int need_(struct call *c, const struct kind *k, const char *what, const char *id, void **ret)
{
    int r = id ? txn_get_(c->txn, k, id, ret) : (*ret = NULL, 0);
    return r ? r : *ret ? 0 : not_found(c, what, id);
}

int refuse_restricted(struct call *c)
{
    const struct token_info *i = auth_info(c->auth);
    if (!i || !i->payload.app_cred_id || i->app_cred_unrestricted)
        return 0;
    return forbidden(
        c, "Using method 'application_credential' is not allowed for managing additional application "
           "credentials");
}

/* ---- targets ---- */

static void target_add(struct call *c, struct strmap *m, const char *key, const char *value)
{
    (void)vec_push(c->arena, m, ((struct pair){ key, str_or(value, "None") }));
}

void target_project(struct call *c, struct strmap *m, const struct project *p)
{
    if (!p)
        return;
    target_add(c, m, p->is_domain ? "target.domain.id" : "target.project.id", p->head.id);
    if (p->is_domain)
        target_add(c, m, "target.project.id", p->head.id);
    target_add(c, m, "target.project.domain_id", p->is_domain ? p->head.id : p->domain_id);
}

void target_user(struct call *c, struct strmap *m, const struct user *u)
{
    if (!u)
        return;
    target_add(c, m, "target.user.id", u->head.id);
    target_add(c, m, "target.user.domain_id", u->domain_id);
    target_add(c, m, "user_id", u->head.id);
}

void target_group(struct call *c, struct strmap *m, const struct user_group *g)
{
    if (!g)
        return;
    target_add(c, m, "target.group.id", g->head.id);
    target_add(c, m, "target.group.domain_id", g->domain_id);
}

void target_role(struct call *c, struct strmap *m, const struct role *r)
{
    if (r)
        target_add(c, m, "target.role.domain_id", r->domain_id);
}

int scope_domain(struct call *c, struct query *q, const char *rule)
{
    struct strmap m = { 0 };
    const char *domain = c->auth->domain_id;
    if (domain) {
        target_add(c, &m, "target.domain_id", domain);
        target_add(c, &m, "target.group.domain_id", domain);
    }
    int r = call_require(c, rule, &m);
    if (r == 0 && domain && !query_where(q, c->arena, "domain_id", Q_EQ, domain))
        return -ENOMEM;
    return r;
}

const char *domain_for_create(struct call *c)
{
    if (c->auth->domain_id)
        return c->auth->domain_id;
    return c->auth->project_domain_id ? c->auth->project_domain_id : DEFAULT_DOMAIN;
}

/* ---- filters ---- */

int filter_operators(struct call *c, struct query *q, const char *name, const char *value)
{
    static const struct {
        const char *suffix;
        enum query_op op;
        bool nocase;
    } OPERATORS[] = {
        { "__contains", Q_CONTAINS, false }, { "__icontains", Q_CONTAINS, true },
        { "__startswith", Q_STARTS, false }, { "__istartswith", Q_STARTS, true },
        { "__endswith", Q_ENDS, false },     { "__iendswith", Q_ENDS, true },
        { "__equals", Q_EQ, false },         { "__iequals", Q_EQ, true },
    };
    for (size_t i = 0; i < ARRAY_SIZE(OPERATORS); i++) {
        if (!str_ends(name, OPERATORS[i].suffix))
            continue;
        const char *field = arena_strndup(c->arena, name, strlen(name) - strlen(OPERATORS[i].suffix));
        const struct field *f = field ? schema_field(q->kind->schema, field) : NULL;
        if (!f || !(f->flags & FILTER) || f->type != FIELD_STRING)
            return 1;
        struct condition *w = query_where(q, c->arena, f->name, OPERATORS[i].op, value);
        if (!w)
            return -ENOMEM;
        w->nocase = OPERATORS[i].nocase;
        return 0;
    }
    return 1;
}

/* ---- many at once ---- */

int list_where(struct txn *t, const struct kind *k, const char *field, const char *value, struct results *ret)
{
    struct query q = { .kind = k };
    if (!query_where(&q, txn_arena(t), field, Q_EQ, value))
        return -ENOMEM;
    return txn_list(t, &q, ret);
}

int delete_where(struct txn *t, const struct kind *k, const char *field, const char *value)
{
    struct results l = { 0 };
    int r = list_where(t, k, field, value, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = txn_delete(t, k, ((const struct object *)l.v[i])->id);
    return r;
}
