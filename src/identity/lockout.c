/*
 * Counting wrong passwords: so many in a row lock an account for a while. The count is an object of
 * its own, for a guess must not touch the user, whose changes make known tokens be opened again.
 */
#include "identity/internal.h"

static bool counts(const struct identity *id, const struct user *u)
{
    return id->config->lockout_attempts > 0 && !option_true(u->options, "ignore_lockout_failure_attempts");
}

static bool opened(const struct identity *id, const struct lockout *l)
{
    usec_t lasts = SECONDS(id->config->lockout_seconds);
    return lasts > 0 && clock_wall() - l->last_at >= lasts;
}

int lockout_read(struct identity *id, struct txn *t, const struct user *u, struct lockout_state *ret)
{
    struct lockout *l = NULL;
    *ret = (struct lockout_state){ .counts = counts(id, u) };
    int r = ret->counts ? txn_get(t, &IDENTITY_LOCKOUT_KIND, u->head.id, &l) : 0;
    ret->failed = l != NULL;
    ret->locked = l && l->failures >= id->config->lockout_attempts && !opened(id, l);
    return r;
}

struct note {
    struct identity *id;
    const char *user_id;
};

static int add(struct txn *t, void *arg)
{
    struct note *n = arg;
    struct lockout *old;
    int r = txn_get(t, &IDENTITY_LOCKOUT_KIND, n->user_id, &old);
    if (r < 0)
        return r;
    /* Once the lock has opened, counting begins anew. */
    bool anew = !old || (old->failures >= n->id->config->lockout_attempts && opened(n->id, old));
    struct lockout l = { .head.id = n->user_id,
                         .failures = anew ? 1 : old->failures + 1,
                         .last_at = clock_wall() };
    return txn_put(t, &IDENTITY_LOCKOUT_KIND, &l);
}

static int forget(struct txn *t, void *arg)
{
    struct note *n = arg;
    return txn_delete(t, &IDENTITY_LOCKOUT_KIND, n->user_id);
}

int lockout_failed(struct call *c, const struct lockout_state *s, const char *user_id)
{
    struct note n = { call_identity(c), user_id };
    return s->counts ? store_write(c->store, c->arena, add, &n) : 0;
}

int lockout_passed(struct call *c, const struct lockout_state *s, const char *user_id)
{
    struct note n = { call_identity(c), user_id };
    return s->failed ? store_write(c->store, c->arena, forget, &n) : 0;
}
