/*
 * The life of a server as far as the store goes: actions, failure, another try, death.
 *
 * Verbs, reports of hosts and controllers all end here, each inside its own transaction, so a
 * server's ports, claims and records change together with it or not at all.
 *
 * Deleting is a wish like any other: the server stays, marked, until its host has reported that
 * nothing of it is left. Where no host has it, it goes at once. A host that is down can't report;
 * then a leg stays behind in the server's place, so the host cleans up when it comes back, and
 * what it still holds stays claimed until then.
 */
#include "compute/internal.h"

#include <errno.h>
#include <stdio.h>

LOG_MODULE("compute.life");

#define TRIES_MAX 3

int server_put(struct txn *t, struct server *s)
{
    s->updated_at = clock_wall();
    if (s->flavor) {
        s->instance_type_id = s->flavor->id;
        s->flavor_vcpus = s->flavor->vcpus;
        s->flavor_ram = s->flavor->ram;
    }
    int r = txn_put(t, &SERVER_KIND, s);
    return error_trace(r == TXN_TAKEN ? -EEXIST : r);
}

/* ---- actions ---- */

/* What Nova calls the work behind an action. */
static const char *event_name(const char *action)
{
    static const struct { const char *action, *event; } NAMES[] = {
        { "create", "compute__do_build_and_run_instance" },
        { "delete", "compute_terminate_instance" },
        { "reboot", "compute_reboot_instance" },
        { "start", "compute_start_instance" },
        { "stop", "compute_stop_instance" },
        { "pause", "compute_pause_instance" },
        { "unpause", "compute_unpause_instance" },
        { "suspend", "compute_suspend_instance" },
        { "resume", "compute_resume_instance" },
        { "rescue", "compute_rescue_instance" },
        { "unrescue", "compute_unrescue_instance" },
        { "rebuild", "compute_rebuild_instance" },
        { "resize", "compute_prep_resize" },
        { "migrate", "compute_prep_resize" },
        { "confirmResize", "compute_confirm_resize" },
        { "revertResize", "compute_revert_resize" },
        { "changePassword", "compute_set_admin_password" },
        { "createImage", "compute_snapshot_instance" },
        { "createBackup", "compute_backup_instance" },
        { "shelve", "compute_shelve_instance" },
        { "unshelve", "compute_unshelve_instance" },
        { "live-migration", "compute_live_migration" },
        { "attach_interface", "compute_attach_interface" },
        { "detach_interface", "compute_detach_interface" },
        { "attach_volume", "compute_attach_volume" },
        { "detach_volume", "compute_detach_volume" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++)
        if (STREQ(NAMES[i].action, action))
            return NAMES[i].event;
    return NULL;
}

int action_begin(struct txn *t, struct server *s, const char *action, const char *user_id, const char *request_id)
{
    struct arena *a = txn_arena(t);
    struct action *act = ARENA_NEW(a, struct action);
    if (!act)
        return -ENOMEM;
    usec_t now = clock_wall();
    *act = (struct action){ .head.id = uuid_new(a), .server_id = s->head.id, .project_id = s->project_id,
                            .user_id = user_id, .request_id = request_id, .action = action, .start_time = now,
                            .updated_at = now };
    const char *name = event_name(action);
    if (name) {
        struct action_event *e = vec_add(a, &act->events);
        if (e)
            *e = (struct action_event){ .event = name, .host = s->host, .start_time = now };
    }
    s->action_id = act->head.id;
    return error_trace(txn_put(t, &ACTION_KIND, act));
}

int action_begin_call(struct call *c, struct server *s, const char *action)
{
    return action_begin(c->txn, s, action, c->auth->user_id, arena_strdup(c->arena, c->http->id));
}

int action_end(struct txn *t, struct server *s, const char *message)
{
    if (!s->action_id)
        return 0;
    struct action *act;
    int r = txn_get(t, &ACTION_KIND, s->action_id, &act);
    s->action_id = NULL;
    if (r < 0 || !act)
        return error_trace(r);
    act->updated_at = clock_wall();
    if (message)
        act->message = "Error";
    VEC_FOREACH(e, &act->events) {
        if (e->finish_time)
            continue;
        e->finish_time = act->updated_at;
        e->result = message ? "Error" : "Success";
        e->details = message;
        if (!e->host)
            e->host = s->host;
    }
    return error_trace(txn_put(t, &ACTION_KIND, act));
}

/* ---- legs ---- */

struct claim claim_of(const struct server *s, const struct flavor_copy *f)
{
    bool local_root = !str_empty(s->image_ref);
    VEC_FOREACH(b, &s->bdms)
        if (b->boot_index == 0 && str_eq(b->destination_type, "volume"))
            local_root = false;
    return (struct claim){ f->vcpus, f->ram, (local_root ? f->disk : 0) + f->ephemeral + (f->swap + 1023) / 1024 };
}

int leg_add(struct txn *t, const struct server *s, const char *host, const char *role, const char *migration_id,
            const struct flavor_copy *claim)
{
    struct leg *l = ARENA_NEW(txn_arena(t), struct leg);
    if (!l)
        return -ENOMEM;
    struct claim c = claim ? claim_of(s, claim) :
                             (struct claim){ s->claim_vcpus, s->claim_memory_mb, s->claim_disk_gb };
    *l = (struct leg){ .head.id = uuid_new(txn_arena(t)), .server_id = s->head.id, .host = host,
                       .migration_id = migration_id, .role = role, .claim_vcpus = c.vcpus,
                       .claim_memory_mb = c.memory_mb, .claim_disk_gb = c.disk_gb, .created_at = clock_wall() };
    return error_trace(txn_put(t, &LEG_KIND, l));
}

int leg_find(struct txn *t, const char *server_id, const char *host, struct leg **ret)
{
    struct query q = { .kind = &LEG_KIND };
    query_where(&q, txn_arena(t), "server_id", Q_EQ, server_id);
    query_where(&q, txn_arena(t), "host", Q_EQ, host);
    return txn_find(t, &q, ret);
}

/* Other hosts of a server that is going: whatever they had of it is to vanish. */
static int legs_to_cleanup(struct txn *t, const char *server_id)
{
    struct query q = { .kind = &LEG_KIND };
    query_where(&q, txn_arena(t), "server_id", Q_EQ, server_id);
    struct results l;
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        struct leg *leg = l.v[i];
        if (STREQ(leg->role, LEG_CLEANUP))
            continue;
        leg->role = LEG_CLEANUP;
        leg->migration_id = NULL;
        r = txn_put(t, &LEG_KIND, leg);
    }
    return error_trace(r);
}

/* ---- failure ---- */

int server_fail(struct txn *t, struct server *s, int64_t code, const char *message, const char *details, bool broken)
{
    struct arena *a = txn_arena(t);
    struct server_fault *f = ARENA_NEW(a, struct server_fault);
    if (!f)
        return -ENOMEM;
    *f = (struct server_fault){ code, message, details, clock_wall() };
    s->fault = f;
    log_warning("server failed", KV("server", s->head.id), KV("task", s->task_state), KV("host", s->host),
                KV("reason", message), KV("details", details));
    int r = server_move(s, broken ? VM_ERROR : s->vm_state, NULL);
    return r < 0 ? r : action_end(t, s, message);
}

int server_reschedule(struct txn *t, struct server *s)
{
    struct arena *a = txn_arena(t);
    if (s->hosts_tried.n + 1 >= TRIES_MAX || s->requested_host)
        return FAULT;
    int r = leg_add(t, s, s->host, LEG_CLEANUP, NULL, NULL);
    if (r < 0)
        return r;
    strv_add(a, &s->hosts_tried, s->host);
    log_info("another host is tried", KV("server", s->head.id), KV("failed", s->host));
    s->host = s->node = NULL;
    s->claim_vcpus = s->claim_memory_mb = s->claim_disk_gb = 0;
    server_order(s);
    r = network_ports_bind(t, s->head.id, "", NULL);
    r = r < 0 ? r : volumes_moved(t, s, "");
    return r < 0 ? r : server_move(s, VM_BUILDING, TASK_SCHEDULING);
}

/* ---- death ---- */

static int remember(struct txn *t, struct server *s)
{
    s->user_data = s->admin_password = s->rescue_password = NULL;
    s->personality.n = 0;
    s->vm_state = VM_DELETED;       /* of the copy in the history: the server itself is gone */
    s->task_state = NULL;
    s->task_since = 0;
    s->terminated_at = s->updated_at = clock_wall();
    s->power_state = PS_NOSTATE;
    return error_trace(txn_put(t, &DELETED_SERVER_KIND, s));
}

static int drop_tasks(struct txn *t, const char *server_id)
{
    struct query q = { .kind = &SNAPSHOT_TASK_KIND };
    query_where(&q, txn_arena(t), "server_id", Q_EQ, server_id);
    struct results l;
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const struct snapshot_task *task = l.v[i];
        r = image_remove(t, task->image_id);
        if (r == 0)
            r = txn_delete(t, &SNAPSHOT_TASK_KIND, task->head.id);
    }
    return error_trace(r);
}

static int end_migrations(struct txn *t, const char *server_id)
{
    static const char *const OPEN[] = { "accepted", "queued", "preparing", "pre-migrating", "migrating", "running",
                                        "post-migrating", "finished", "confirming", "reverting" };
    struct query q = { .kind = &MIGRATION_KIND };
    query_where(&q, txn_arena(t), "server_id", Q_EQ, server_id);
    struct results l;
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        struct migration *m = l.v[i];
        for (size_t k = 0; k < ARRAY_SIZE(OPEN); k++) {
            if (!str_eq(m->status, OPEN[k]))
                continue;
            m->status = "cancelled";
            m->updated_at = clock_wall();
            r = txn_put(t, &MIGRATION_KIND, m);
            break;
        }
    }
    return error_trace(r);
}

int server_remove(struct txn *t, struct server *s)
{
    int r = network_ports_release(t, s->head.id);
    if (r == 0)
        r = volumes_release(t, s);
    if (r == 0)
        r = legs_to_cleanup(t, s->head.id);
    if (r == 0)
        r = drop_tasks(t, s->head.id);
    if (r == 0)
        r = end_migrations(t, s->head.id);
    if (r == 0 && s->shelved_image)
        r = image_remove(t, s->shelved_image);
    if (r == 0)
        r = action_end(t, s, NULL);
    if (r == 0)
        r = txn_delete(t, &SERVER_KIND, s->head.id);
    if (r == 0)
        r = remember(t, s);
    return error_trace(r);
}

int server_delete(struct api *api, struct txn *t, struct server *s)
{
    if (str_empty(s->host))
        return server_remove(t, s);
    struct compute_host *h;
    int r = txn_get(t, &COMPUTE_HOST_KIND, s->host, &h);
    if (r < 0)
        return error_trace(r);
    if (!h || !host_up(api, h)) {
        r = leg_add(t, s, s->host, LEG_CLEANUP, NULL, NULL);
        return r < 0 ? r : server_remove(t, s);
    }
    if (!s->deleting) {
        s->deleting = true;
        server_order(s);
    }
    r = server_task(s, TASK_DELETING);
    return r < 0 ? r : server_put(t, s);
}

int compute_server_info(struct txn *t, const char *server_id, struct compute_server_info **ret)
{
    struct server *s;
    int r = txn_get(t, &SERVER_KIND, server_id, &s);
    *ret = NULL;
    if (r < 0 || !s)
        return r;
    struct compute_server_info *i = ARENA_NEW(txn_arena(t), struct compute_server_info);
    if (!i)
        return -ENOMEM;
    *i = (struct compute_server_info){ s->head.id, s->display_name, s->project_id, s->user_id, s->host,
                                       s->availability_zone, server_status(s) };
    *ret = i;
    return 0;
}
