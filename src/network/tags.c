/*
 * Tags: words on any resource that has the row, /{many}/{id}/tags, and the four filters of lists.
 */
#include "network/neutron.h"

#include <errno.h>

static struct strv *tags_of(const struct resource *r, const void *object)
{
    return &neutron_standard(r, object)->tags;
}

static int tag_target(struct call *c, void **ret)
{
    const struct resource *r = c->route->resource;
    int e = resource_get(c, r, call_param(c, "id"), ret);
    return e == 0 && !STREQ(c->http->method, "GET") ? neutron_own(c, r, *ret) : e;
}

static void render_tags(struct call *c, const struct strv *tags)
{
    json_open_object(&c->out);
    json_put_strings(&c->out, "tags", tags);
    json_close_object(&c->out);
}

static int not_there(struct call *c)
{
    return call_fault(c, 404, "TagNotFound", "Tag %s could not be found.", call_param(c, "tag"));
}

int tags_list(struct call *c)
{
    void *object;
    int r = call_read(c);
    if (r == 0)
        r = tag_target(c, &object);
    if (r == 0)
        render_tags(c, tags_of(c->route->resource, object));
    return r;
}

int tag_show(struct call *c)
{
    void *object;
    int r = call_read(c);
    if (r == 0)
        r = tag_target(c, &object);
    if (r)
        return r;
    c->status = 204;
    return strv_has(tags_of(c->route->resource, object), call_param(c, "tag")) ? 0 : not_there(c);
}

static int save(struct call *c, void *object)
{
    standard_touch(neutron_standard(c->route->resource, object));
    return txn_put(c->txn, c->route->resource->kind, object);
}

static int check_tag(struct call *c, const char *tag)
{
    size_t n = strlen(tag);
    if (n && n <= 255)
        return 0;
    return call_fault(c, 400, "HTTPBadRequest",
                      "Invalid input for tags. Reason: '%s' exceeds maximum length of 255 "
                      "or is empty.",
                      tag);
}

static int replace_tags(struct call *c)
{
    void *object;
    size_t i;
    json_t *each;
    const json_t *wanted = json_get_array(c->body, "tags");
    int r = tag_target(c, &object);
    if (r)
        return r;
    if (!wanted)
        return call_fault(c, 400, "HTTPBadRequest", "Invalid input for tags. Reason: a list is needed.");
    struct strv *tags = tags_of(c->route->resource, object);
    *tags = (struct strv){ 0 };
    json_array_foreach(wanted, i, each)
    {
        const char *tag = json_string_value(each);
        if (!tag)
            return call_fault(c, 400, "HTTPBadRequest",
                              "Invalid input for tags. Reason: a tag must be text.");
        r = check_tag(c, tag);
        if (r)
            return r;
        if (!strv_has(tags, tag) && !strv_add(c->arena, tags, tag))
            return -ENOMEM;
    }
    r = save(c, object);
    render_tags(c, tags);
    return r;
}

int tags_replace(struct call *c)
{
    return call_write(c, replace_tags);
}

static int add_tag(struct call *c)
{
    void *object;
    int r = tag_target(c, &object);
    if (r == 0)
        r = check_tag(c, call_param(c, "tag"));
    if (r)
        return r;
    c->status = 201;
    struct strv *tags = tags_of(c->route->resource, object);
    if (strv_has(tags, call_param(c, "tag")))
        return 0;
    return strv_add(c->arena, tags, call_param(c, "tag")) ? save(c, object) : -ENOMEM;
}

int tag_add(struct call *c)
{
    return call_write(c, add_tag);
}

static int drop_tag(struct call *c)
{
    void *object;
    int r = tag_target(c, &object);
    if (r)
        return r;
    c->status = 204;
    return strv_drop(tags_of(c->route->resource, object), call_param(c, "tag")) ? save(c, object)
                                                                                : not_there(c);
}

int tag_drop(struct call *c)
{
    return call_write(c, drop_tag);
}

static int drop_tags(struct call *c)
{
    void *object;
    int r = tag_target(c, &object);
    if (r)
        return r;
    c->status = 204;
    *tags_of(c->route->resource, object) = (struct strv){ 0 };
    return save(c, object);
}

int tags_drop(struct call *c)
{
    return call_write(c, drop_tags);
}

/* ---- filters ---- */

int neutron_filter(struct call *c, struct query *q, const char *name, const char *value)
{
    struct strv tags = { 0 };
    bool all = STREQ(name, "tags"), not_all = STREQ(name, "not-tags");
    if (STREQ(name, "tenant_id") && schema_field(q->kind->schema, "project_id"))
        return query_where(q, c->arena, "project_id", Q_EQ, value) ? 0 : -ENOMEM;
    if (!schema_field(q->kind->schema, "tags"))
        return 1;
    if (!all && !not_all && !STREQ(name, "tags-any") && !STREQ(name, "not-tags-any"))
        return 1;
    if (!strv_split(c->arena, &tags, value, ","))
        return arena_failed(c->arena) ? -ENOMEM : 0;
    for (size_t i = 0; (all || not_all) && i < tags.n; i++) {
        struct condition *w = query_where(q, c->arena, "tags", all ? Q_KEY : Q_NO_KEY, tags.v[i]);
        if (!w)
            return -ENOMEM;
        w->any = not_all ? 7 : 0;
    }
    if (all || not_all || !tags.n)
        return 0;
    struct condition *w = query_where(q, c->arena, "tags", STREQ(name, "tags-any") ? Q_KEY : Q_NO_KEY, NULL);
    if (!w)
        return -ENOMEM;
    w->list = tags;
    return 0;
}
