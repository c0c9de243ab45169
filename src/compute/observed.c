/*
 * What hosts report of servers, turned into the state that clients see.
 *
 * A report says what is; the server says what was ordered. A task is done when the two agree:
 * the power is the wanted one, every counter has been reached, and the report is about the last
 * order or a later one. Nothing here depends on having seen an earlier report, so lost and
 * repeated ones do no harm.
 *
 * Most reports change nothing. They are judged in a read transaction; only those that mean
 * something are judged again in a write.
 */
#include "compute/internal.h"

#include <errno.h>
#include <stdio.h>

LOG_MODULE("compute.observed");

#define SPAWN_FAULTS_MAX 3

/* The orders are carried out. */
static bool settled(const struct server *s, const struct server_observed *o)
{
    return o->revision >= s->generation && str_eq(o->power, s->power) && o->reboot_soft >= s->reboot_soft &&
           o->reboot_hard >= s->reboot_hard && o->rebuild >= s->rebuild && o->password >= s->password &&
           o->nmi >= s->nmi && o->resize >= s->resize && o->rescue == s->rescue;
}

/* The state that a power word stands for. */
static const char *vm_of_power(const struct server *s, const char *power)
{
    if (str_eq(power, POWER_RUNNING))
        return s->rescue ? VM_RESCUED : VM_ACTIVE;
    if (str_eq(power, POWER_PAUSED))
        return VM_PAUSED;
    if (str_eq(power, POWER_SUSPENDED))
        return VM_SUSPENDED;
    return VM_STOPPED;
}

static bool task_in(const struct server *s, const char *const *tasks, size_t n)
{
    for (size_t i = 0; s->task_state && i < n; i++)
        if (STREQ(tasks[i], s->task_state))
            return true;
    return false;
}
#define TASK_IN(s, ...) \
    task_in((s), (const char *const[]){ __VA_ARGS__ }, ARRAY_SIZE(((const char *const[]){ __VA_ARGS__ })))

/* Takes over what is merely shown. Returns whether anything differs. */
static bool take_facts(struct server *s, const struct server_observed *o)
{
    bool changed = false;
    int64_t power = power_number(o->power);
#define TAKE_TEXT(to, from) do { if ((from) && !str_eq((to), (from))) { (to) = (from); changed = true; } } while (0)
#define TAKE_INT(to, from) do { if ((to) != (from)) { (to) = (from); changed = true; } } while (0)
    TAKE_INT(s->power_state, power);
    TAKE_TEXT(s->seen_power, o->power);
    TAKE_TEXT(s->instance_name, o->instance_name);
    TAKE_TEXT(s->node, o->hypervisor_hostname);
    TAKE_TEXT(s->root_device_name, o->root_device);
    TAKE_TEXT(s->console_host, o->console_host);
    TAKE_TEXT(s->serial_path, o->serial_path);
    TAKE_INT(s->vnc_port, o->vnc_port);
    TAKE_INT(s->spice_port, o->spice_port);
    TAKE_INT(s->spice_tls_port, o->spice_tls_port);
#undef TAKE_TEXT
#undef TAKE_INT
    return changed;
}

/* A task that ends as soon as the orders are carried out. */
static int finish_task(struct txn *t, struct server *s, const struct server_observed *o)
{
    const char *vm = vm_of_power(s, o->power);
    if (TASK_IN(s, TASK_SPAWNING)) {
        s->launched_at = clock_wall();
        s->progress = 100;
    }
    if (TASK_IN(s, TASK_UNRESCUING)) {
        s->rescue_image = NULL;
        s->rescue_password = NULL;
    }
    if (TASK_IN(s, TASK_UNSHELVING)) {
        s->launched_at = clock_wall();
        s->vm_state_before = NULL;
        if (s->shelved_image) {
            int r = image_remove(t, s->shelved_image);
            if (r < 0)
                return r;
            s->shelved_image = NULL;
        }
    }
    s->fault = TASK_IN(s, TASK_SPAWNING, TASK_REBUILDING, TASK_REBOOTING_HARD) ? NULL : s->fault;
    int r = server_move(s, vm, NULL);
    return r < 0 ? r : action_end(t, s, NULL);
}

/* The host could not do it. */
static int task_failed(struct txn *t, struct server *s, const struct server_observed *o)
{
    /* What may pass by itself is given a few tries where it is. */
    if (TASK_IN(s, TASK_SPAWNING) && o->fault_retry && ++s->spawn_faults < SPAWN_FAULTS_MAX)
        return 0;
    if (TASK_IN(s, TASK_SPAWNING) && o->fault_retry) {
        int r = server_reschedule(t, s);
        if (r <= 0)
            return r;
    }
    bool broken = TASK_IN(s, TASK_SPAWNING, TASK_REBUILDING, TASK_REBOOTING_HARD, TASK_RESCUING, TASK_UNRESCUING,
                          TASK_POWERING_ON, TASK_RESUMING, TASK_UNSHELVING, TASK_RESIZE_FINISH);
    return server_fail(t, s, o->fault_code ? o->fault_code : 500,
                       o->fault_message ? o->fault_message : "The host could not carry out the order.",
                       o->fault_details, broken);
}

/* Nothing is under way: the guest may have done something by itself. */
static int steady(struct server *s, const struct server_observed *o, bool *ret_changed)
{
    if (o->revision < s->generation || settled(s, o))
        return 0;
    bool off = str_eq(o->power, POWER_SHUTOFF) || str_eq(o->power, POWER_CRASHED);
    if (off && (STREQ(s->vm_state, VM_ACTIVE) || STREQ(s->vm_state, VM_PAUSED) || STREQ(s->vm_state, VM_RESCUED))) {
        log_info("the guest is off", KV("server", s->head.id), KV("power", o->power));
        s->power = POWER_SHUTOFF;
        if (STREQ(s->vm_state, VM_RESCUED))
            return 0;
        server_order(s);
        *ret_changed = true;
        return server_move(s, VM_STOPPED, NULL);
    }
    return 0;
}

/* Brings the server in line with the report. *ret_changed: it must be written. *ret_gone: it was removed. */
static int judge(struct txn *t, struct server *s, const struct server_observed *o, bool *ret_changed, bool *ret_gone)
{
    bool absent = str_eq(o->power, POWER_ABSENT);
    *ret_gone = false;
    if (s->deleting) {
        *ret_changed = false;
        if (!absent || o->revision < s->generation)
            return 0;
        *ret_gone = true;
        return server_remove(t, s);
    }
    *ret_changed = take_facts(s, o);
    if (str_empty(s->vm_state))
        return 0;
    int seen = volumes_judge(t, s, o, ret_changed);
    if (seen < 0)
        return seen;
    if (TASK_IN(s, TASK_MIGRATING, TASK_RESIZE_PREP, TASK_RESIZE_MIGRATING, TASK_RESIZE_FINISH,
                TASK_RESIZE_REVERTING, TASK_RESIZE_CONFIRMING, TASK_SHELVING_OFFLOADING))
        return migration_judge(t, s, o, ret_changed);
    if (TASK_IN(s, TASK_IMAGE_SNAPSHOT, TASK_IMAGE_BACKUP, TASK_SHELVING))
        return snapshot_judge(t, s, o, ret_changed);
    if (!s->task_state) {
        bool moved = false;
        int r = steady(s, o, &moved);
        *ret_changed = *ret_changed || moved;
        return r;
    }
    if (TASK_IN(s, TASK_SCHEDULING) || o->revision < s->generation)
        return 0;
    /* A password is tried once: the host has done with it, and may say that the guest has not. */
    if (settled(s, o) && !(o->fault_code && TASK_IN(s, TASK_UPDATING_PASSWORD))) {
        *ret_changed = true;
        return finish_task(t, s, o);
    }
    if (o->fault_code) {
        *ret_changed = true;
        return task_failed(t, s, o);
    }
    return 0;
}

/* ---- legs ---- */

static int leg_judge(struct txn *t, struct leg *leg, const struct server_observed *o, bool *ret_changed)
{
    if (!str_eq(o->power, POWER_ABSENT) || !STREQ(leg->role, LEG_CLEANUP))
        return 0;
    *ret_changed = true;
    return txn_delete(t, &LEG_KIND, leg->head.id);
}

/* ---- the report ---- */

struct report {
    struct api *api;
    const char *host;
    const struct server_observed *v;
    size_t n;
    struct strv meaning;            /* ids worth a write */
};

/* Judges one; 'dry' writes nothing that stays (the transaction is a reading one). */
static int take_one(struct txn *t, struct report *rep, const struct server_observed *o, bool dry, bool *ret_meant)
{
    struct server *s;
    struct leg *leg;
    *ret_meant = false;
    int r = txn_get(t, &SERVER_KIND, o->id, &s);
    if (r < 0)
        return r;
    if (s && str_eq(s->host, rep->host)) {
        if (dry) {
            *ret_meant = observation_matters(s, o);
            return *ret_meant ? 0 : volumes_news(t, s, o, ret_meant);
        }
        bool gone;
        r = judge(t, s, o, ret_meant, &gone);
        return r < 0 || gone || !*ret_meant ? r : server_put(t, s);
    }
    r = leg_find(t, o->id, rep->host, &leg);
    if (r < 0 || !leg)
        return r;
    if (dry) {
        *ret_meant = true;
        return 0;
    }
    if (!STREQ(leg->role, LEG_CLEANUP))
        return s ? migration_leg_judge(t, s, leg, o) : 0;
    return leg_judge(t, leg, o, ret_meant);
}

bool observation_matters(const struct server *s, const struct server_observed *o)
{
    struct server copy = *s;
    if (s->deleting)
        return str_eq(o->power, POWER_ABSENT) && o->revision >= s->generation;
    if (take_facts(&copy, o))
        return true;
    if (!s->task_state)
        return o->revision >= s->generation && !settled(s, o);
    if (TASK_IN(s, TASK_SCHEDULING))
        return false;
    return o->revision >= s->generation || o->tasks.n;
}

static int report_write(struct txn *t, void *arg)
{
    struct report *rep = arg;
    for (size_t i = 0; i < rep->n; i++) {
        bool meant;
        if (!strv_has(&rep->meaning, rep->v[i].id))
            continue;
        int r = take_one(t, rep, &rep->v[i], false, &meant);
        if (r < 0)
            return r;
    }
    return 0;
}

int servers_observed(struct api *api, struct arena *a, const char *host, const json_t *value)
{
    VEC_OF(struct server_observed) list = { 0 };
    struct decode_error e;
    size_t i;
    json_t *item;
    host_seen(api, host);
    if (!json_is_array(value))
        return -EBADMSG;
    json_array_foreach(value, i, item) {
        struct server_observed *o = vec_add(a, &list);
        if (!o)
            return -ENOMEM;
        int r = schema_decode(&SERVER_OBSERVED_SCHEMA, item, DECODE_STORED, 0, a, o, NULL, &e);
        if (r || !o->id)
            return r < 0 ? r : -EBADMSG;
    }
    struct report rep = { .api = api, .host = host, .v = list.v, .n = list.n };
    struct txn *t;
    int r = store_read(api_store(api), a, &t);
    if (r < 0)
        return r;
    for (i = 0; i < list.n && r == 0; i++) {
        bool meant;
        r = take_one(t, &rep, &list.v[i], true, &meant);
        if (r == 0 && meant && !strv_add(a, &rep.meaning, list.v[i].id))
            r = -ENOMEM;
    }
    txn_done(t);
    return r < 0 || !rep.meaning.n ? r : store_write(api_store(api), a, report_write, &rep);
}
