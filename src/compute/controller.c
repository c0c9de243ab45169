/*
 * What time does to servers: tasks that take too long end, soft-deleted ones go, records of the
 * past are bounded.
 *
 * It needs no changes to wake it: deadlines are minutes, so looking every few seconds is enough,
 * and what it finds is asked of the store each time.
 */
#include "compute/internal.h"

#include <errno.h>
#include <stdio.h>

LOG_MODULE("compute.controller");

#define HISTORY_MAX 1000
#define HISTORY_AGE DAYS(1)

struct pass {
    struct api *api;
    struct strv late;
    struct strv old;                /* of the history */
    struct strv questions;
};

/* ---- tasks ---- */

static int fail_late(struct txn *t, struct pass *p, const char *id)
{
    struct server *s;
    int r = txn_get(t, &SERVER_KIND, id, &s);
    if (r < 0 || !s || !s->task_state || s->deleting)
        return r;
    const char *volume = NULL;
    r = str_eq(s->task_state, TASK_SPAWNING) ? volumes_broken(t, s, &volume) : 0;
    if (r < 0)
        return r;
    if (volume) {
        r = server_fail(t, s, 500, arena_printf(txn_arena(t), "Build of instance %s aborted: Volume %s could not be made.",
                                                s->head.id, volume), NULL, true);
        return r < 0 ? r : server_put(t, s);
    }
    usec_t limit = task_deadline(s->task_state);
    if (!limit || s->task_since + limit > clock_wall())
        return 0;
    (void)p;
    const char *text = arena_printf(txn_arena(t), "The task '%s' did not end in time.", s->task_state);
    bool broken = !STREQ(s->task_state, TASK_IMAGE_SNAPSHOT) && !STREQ(s->task_state, TASK_IMAGE_BACKUP) &&
                  !STREQ(s->task_state, TASK_UPDATING_PASSWORD) && !STREQ(s->task_state, TASK_MIGRATING);
    r = server_fail(t, s, 500, text, NULL, broken);
    return r < 0 ? r : server_put(t, s);
}

static int write_late(struct txn *t, void *arg)
{
    struct pass *p = arg;
    int r = 0;
    for (size_t i = 0; i < p->late.n && r == 0; i++)
        r = fail_late(t, p, p->late.v[i]);
    return r;
}

/* Servers that wait for a volume which will never be there. */
static int find_broken(struct txn *t, struct pass *p)
{
    struct query q = { .kind = &SERVER_KIND };
    query_where(&q, txn_arena(t), "task_state", Q_EQ, TASK_SPAWNING);
    struct results l;
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const char *volume;
        r = volumes_broken(t, l.v[i], &volume);
        if (r == 0 && volume && !strv_add(txn_arena(t), &p->late, ((struct server *)l.v[i])->head.id))
            r = -ENOMEM;
    }
    return r;
}

static int find_late(struct txn *t, struct pass *p)
{
    struct query q = { .kind = &SERVER_KIND };
    query_where(&q, txn_arena(t), "task_state", Q_NOT_NULL, NULL);
    /* The shortest deadline there is: younger tasks can't be late. */
    query_where(&q, txn_arena(t), "task_since", Q_LE,
                arena_printf(txn_arena(t), "%lld", (long long)(clock_wall() - MINUTES(5))));
    struct results l;
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const struct server *s = l.v[i];
        usec_t limit = task_deadline(s->task_state);
        if (limit && s->task_since + limit <= clock_wall() && !strv_add(txn_arena(t), &p->late, s->head.id))
            r = -ENOMEM;
    }
    return r;
}

/* ---- the past ---- */

static int find_old(struct txn *t, struct pass *p)
{
    struct query q = { .kind = &DELETED_SERVER_KIND };
    query_sort(&q, txn_arena(t), "terminated_at", true);
    struct results l;
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const struct server *s = l.v[i];
        if ((i >= HISTORY_MAX || s->terminated_at + HISTORY_AGE < clock_wall()) &&
            !strv_add(txn_arena(t), &p->old, s->head.id))
            r = -ENOMEM;
    }
    return r;
}

static int drop_actions(struct txn *t, const char *server_id)
{
    struct query q = { .kind = &ACTION_KIND };
    query_where(&q, txn_arena(t), "server_id", Q_EQ, server_id);
    struct results l;
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; i < l.n && r == 0; i++)
        r = txn_delete(t, &ACTION_KIND, ((struct action *)l.v[i])->head.id);
    return r;
}

static int write_old(struct txn *t, void *arg)
{
    struct pass *p = arg;
    int r = 0;
    for (size_t i = 0; i < p->old.n && i < 200 && r == 0; i++) {
        r = drop_actions(t, p->old.v[i]);
        r = r < 0 ? r : txn_delete(t, &DELETED_SERVER_KIND, p->old.v[i]);
    }
    return r;
}

/* Questions whose asker has died. */
static int find_questions(struct txn *t, struct pass *p)
{
    struct query q = { .kind = &QUESTION_KIND };
    query_where(&q, txn_arena(t), "created_at", Q_LE,
                arena_printf(txn_arena(t), "%lld", (long long)(clock_wall() - MINUTES(1))));
    struct results l;
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; i < l.n && r == 0; i++)
        if (!strv_add(txn_arena(t), &p->questions, ((struct object *)l.v[i])->id))
            r = -ENOMEM;
    return r;
}

static int write_questions(struct txn *t, void *arg)
{
    struct pass *p = arg;
    int r = 0;
    for (size_t i = 0; i < p->questions.n && r == 0; i++)
        r = txn_delete(t, &QUESTION_KIND, p->questions.v[i]);
    return r;
}

static int controller_step(struct api *api, struct arena *a, const struct change *changes, size_t n)
{
    struct pass p = { .api = api };
    struct txn *t;
    (void)changes;
    if (n)
        return 0;
    int r = store_read(api_store(api), a, &t);
    if (r < 0)
        return r;
    r = find_late(t, &p);
    r = r < 0 ? r : find_broken(t, &p);
    r = r < 0 ? r : find_old(t, &p);
    r = r < 0 ? r : find_questions(t, &p);
    txn_done(t);
    if (r == 0 && p.late.n)
        r = store_write(api_store(api), a, write_late, &p);
    if (r == 0 && p.old.n)
        r = store_write(api_store(api), a, write_old, &p);
    if (r == 0 && p.questions.n)
        r = store_write(api_store(api), a, write_questions, &p);
    return r;
}

static const struct kind *const CONTROLLER_KINDS[] = { &COMPUTE_HOST_KIND, NULL };
const struct controller_class COMPUTE_CONTROLLER = {
    .name = "compute.controller", .kinds = CONTROLLER_KINDS, .interval = SECONDS(10), .step = controller_step,
};
