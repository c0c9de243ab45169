/* What was done to a server: os-instance-actions. Those of deleted servers are there from 2.21 on. */
#include "compute/internal.h"

#include <errno.h>
#include <stdio.h>

static int server_of_call(struct call *c, const char *rule, struct server **ret)
{
    const char *id = call_param(c, "id");
    int r = call_read(c);
    r = r ? r : txn_get(c->txn, &SERVER_KIND, id, ret);
    if (r == 0 && !*ret && c->minor >= 21)
        r = txn_get(c->txn, &DELETED_SERVER_KIND, id, ret);
    if (r < 0)
        return r;
    if (!*ret || (!call_is_admin(c) && !str_eq((*ret)->project_id, c->auth->project_id)))
        return call_fault(c, 404, "InstanceNotFound", "Instance %s could not be found.", id);
    return call_require_project(c, rule, (*ret)->project_id);
}

static void render_action(struct call *c, const struct action *a)
{
    struct json_out *o = &c->out;
    json_put_string(o, "action", a->action);
    json_put_string(o, "instance_uuid", a->server_id);
    json_put_string(o, "request_id", a->request_id);
    json_put_string(o, "user_id", a->user_id);
    json_put_string(o, "project_id", a->project_id);
    compute_put_time(o, "start_time", a->start_time, TIME_ISO_MICRO);
    json_put_string(o, "message", a->message);
    if (c->minor >= 58)
        compute_put_time(o, "updated_at", a->updated_at, TIME_ISO_MICRO);
}

static int time_arg(struct call *c, struct query *q, const char *arg, enum query_op op, usec_t *ret)
{
    const char *text = call_arg(c, arg);
    if (!text)
        return 0;
    if (time_parse(text, ret) < 0)
        return call_fault(c, 400, "ValidationError",
                          "Invalid input for query parameters %s. Value: %s. '%s' is not a 'date-time'", arg, text,
                          text);
    query_where(q, c->arena, "updated_at", op, arena_printf(c->arena, "%lld", (long long)*ret));
    return 0;
}

static int actions_list(struct call *c)
{
    static const char *const ARGS[] = { "limit", "marker", "changes-since", "changes-before", NULL };
    struct query q = { .kind = &ACTION_KIND };
    struct server *s;
    const char *marker = NULL;
    usec_t since = 0, before = 0;
    int r = compute_known_args(c, 58, ARGS);
    r = r ? r : server_of_call(c, "os_compute_api:os-instance-actions:list", &s);
    if (c->minor >= 58) {
        r = r ? r : compute_page(c, &q.limit, &marker);
        r = r ? r : time_arg(c, &q, "changes-since", Q_GE, &since);
        if (c->minor >= 66)
            r = r ? r : time_arg(c, &q, "changes-before", Q_LE, &before);
        if (!r && since && before && before < since)
            r = call_fault(c, 400, "BadRequest",
                           "The value of changes-since must be less than or equal to changes-before.");
    }
    if (r)
        return r;
    query_where(&q, c->arena, "server_id", Q_EQ, s->head.id);
    query_sort(&q, c->arena, "start_time", true);
    if (marker) {
        /* Clients know an action by the id of its request. */
        struct action *a;
        struct query find = { .kind = &ACTION_KIND };
        query_where(&find, c->arena, "request_id", Q_EQ, marker);
        r = txn_find(c->txn, &find, &a);
        if (r < 0)
            return r;
        if (!a)
            return call_fault(c, 400, "MarkerNotFound", "Marker %s could not be found.", marker);
        q.marker = a->head.id;
    }
    struct results l;
    r = txn_list(c->txn, &q, &l);
    if (r < 0)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "instanceActions");
    for (size_t i = 0; i < l.n; i++) {
        json_open_object(&c->out);
        render_action(c, l.v[i]);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    if (l.more && c->minor >= 58) {
        json_put_array(&c->out, "links");
        json_open_object(&c->out);
        json_put_string(&c->out, "rel", "next");
        json_put_string(&c->out, "href", call_link(c, "marker", ((struct action *)l.v[l.n - 1])->request_id, NULL));
        json_close_object(&c->out);
        json_close_array(&c->out);
    }
    json_close_object(&c->out);
    return 0;
}

static int action_show(struct call *c)
{
    struct server *s;
    struct action *a;
    const char *request = call_param(c, "request");
    int r = server_of_call(c, "os_compute_api:os-instance-actions:show", &s);
    if (r)
        return r;
    struct query q = { .kind = &ACTION_KIND };
    query_where(&q, c->arena, "server_id", Q_EQ, s->head.id);
    query_where(&q, c->arena, "request_id", Q_EQ, request);
    r = txn_find(c->txn, &q, &a);
    if (r < 0)
        return r;
    if (!a)
        return call_fault(c, 404, "ActionNotFound", "Action %s not found", request);
    bool admin = call_is_admin(c);
    struct json_out *o = &c->out;
    json_open_object(o);
    json_put_object(o, "instanceAction");
    render_action(c, a);
    if (admin || c->minor >= 51) {
        json_put_array(o, "events");
        VEC_FOREACH(e, &a->events) {
            json_open_object(o);
            json_put_string(o, "event", e->event);
            compute_put_time(o, "start_time", e->start_time, TIME_ISO_MICRO);
            compute_put_time(o, "finish_time", e->finish_time, TIME_ISO_MICRO);
            json_put_string(o, "result", e->result);
            if (admin)
                json_put_string(o, "traceback", e->traceback);
            if (c->minor >= 62) {
                struct server where = { .project_id = a->project_id, .host = e->host };
                json_put_string(o, "hostId", server_host_id(c->arena, &where));
                if (admin)
                    json_put_string(o, "host", e->host);
            }
            if (c->minor >= 84 && admin)
                json_put_string(o, "details", e->details);
            json_close_object(o);
        }
        json_close_array(o);
    }
    json_close_object(o);
    json_close_object(o);
    return 0;
}

#define P "/v2.1/servers/{id}/os-instance-actions"
static const struct route RECORD_ROUTES[] = {
    { "GET", P, actions_list, NULL, 0, .doc = "What was done to a server." },
    { "GET", P "/{request}", action_show, NULL, 0, .doc = "One action with its events." },
};
static const struct policy_rule RECORD_RULES[] = {
    { "os_compute_api:os-instance-actions:list", RULE_READER, "List actions of a server." },
    { "os_compute_api:os-instance-actions:show", RULE_READER, "Show an action of a server." },
};
COMPUTE_PART(RECORD_PART, RECORD_ROUTES, RECORD_RULES);
