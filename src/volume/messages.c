/* User messages: why something that was accepted went wrong, for its owner (3.3). */
#include "volume/internal.h"

#include <errno.h>

#define MESSAGE_LIFE DAYS(30)

int message_add(struct txn *t, const char *project_id, const char *request_id, const char *resource_type,
                const char *resource_id, const char *event, const char *text)
{
    struct arena *a = txn_arena(t);
    usec_t now = clock_wall();
    struct message m = { .head.id = uuid_new(a), .project_id = project_id, .request_id = str_or(request_id, "req-none"),
                         .resource_type = resource_type, .resource_id = resource_id, .event_id = event,
                         .user_message = text, .level = "ERROR", .created_at = now, .guaranteed_until = now + MESSAGE_LIFE };
    return error_trace(txn_put(t, &MESSAGE_KIND, &m));
}

static void render(struct call *c, struct json_out *o, const struct message *m)
{
    json_open_object(o);
    json_put_string(o, "id", m->head.id);
    json_put_string(o, "event_id", m->event_id);
    json_put_string(o, "user_message", m->user_message);
    json_put_string(o, "message_level", m->level);
    json_put_string(o, "request_id", m->request_id);
    json_put_string(o, "resource_type", m->resource_type);
    json_put_string(o, "resource_uuid", m->resource_id);
    put_time(c, o, "created_at", m->created_at);
    put_time(c, o, "guaranteed_until", m->guaranteed_until);
    volume_links(c, "messages", m->head.id, o);
    json_close_object(o);
}

static int scope(struct call *c, struct query *q)
{
    return own_scope(c, q);
}
static const struct resource MESSAGES = { .one = "message", .many = "messages", .kind = &MESSAGE_KIND,
                                          .title = "Message", .scope = scope };

static int get(struct call *c, struct message **ret)
{
    const char *id = call_param(c, "id");
    int r = txn_get(c->txn, &MESSAGE_KIND, id, ret);
    if (r == 0 && (!*ret || !own_visible(c, (*ret)->project_id)))
        return call_fault(c, 404, "MessageNotFound", "Message %s could not be found.", id);
    return r;
}

static int list(struct call *c)
{
    struct results l = { 0 };
    int r = list_objects(c, &MESSAGES, true, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "messages");
    for (size_t i = 0; i < l.n; i++)
        render(c, &c->out, l.v[i]);
    json_close_array(&c->out);
    c->service->list_style->links(c, &MESSAGES, &l, NULL, &c->out);
    json_close_object(&c->out);
    return 0;
}

static int show(struct call *c)
{
    struct message *m;
    int r = call_read(c);
    r = r ? r : get(c, &m);
    if (r)
        return r;
    json_open_object(&c->out);
    json_key(&c->out, "message");
    render(c, &c->out, m);
    json_close_object(&c->out);
    return 0;
}

static int delete_write(struct call *c)
{
    struct message *m;
    int r = get(c, &m);
    return r ? r : txn_delete(c->txn, &MESSAGE_KIND, m->head.id);
}
static int delete_(struct call *c)
{
    return call_write(c, delete_write);
}

static const struct route ROUTES[] = {
    { "GET", P "/messages", list, "volume:read", .since = 3, .doc = "Messages." },
    { "GET", P "/messages/{id}", show, "volume:read", .since = 3, .doc = "One message." },
    { "DELETE", P "/messages/{id}", delete_, "volume:write", .since = 3, .status = 204, .doc = "Deletes it." },
};
VOLUME_PART(MESSAGES_PART, ROUTES);
