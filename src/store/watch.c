/*
 * Watches: a place in the table of changes, and a bell.
 *
 * The changes themselves are read from the table, by whoever asks for them; the writer only says
 * that there are some. So a watch that is slow, or asleep, costs a few bytes. What the table has
 * dropped meanwhile is reported as lost.
 */
#include "store/engine.h"

#include <errno.h>

struct watch {
    struct store *store;
    bool *kinds;                    /* by table index */
    void (*wake)(void *arg);
    void *arg;
    uint64_t seq;                   /* of the last change that was given out or passed over */
    bool interrupted;
    pthread_cond_t bell;
    struct watch *next;
};

static uint64_t end_of(uint64_t revision)
{
    return ((revision + 1) << CHANGE_BITS) - 1;
}

int watch_open(struct store *s, uint64_t revision, const struct kind *const *kinds, void (*wake)(void *arg),
               void *arg, struct watch **ret)
{
    struct watch *w = calloc(1, sizeof(*w));
    if (!w || !(w->kinds = calloc(s->n_tables + 1, sizeof(*w->kinds)))) {
        free(w);
        return -ENOMEM;
    }
    for (size_t i = 0; !kinds && i < s->n_tables; i++)
        w->kinds[i] = true;
    for (; kinds && *kinds; kinds++)
        w->kinds[store_table(s, *kinds)->index] = true;
    w->store = s;
    w->wake = wake;
    w->arg = arg;
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&w->bell, &mono);
    pthread_condattr_destroy(&mono);
    pthread_mutex_lock(&s->watch_lock);
    w->seq = end_of(revision ? revision : s->revision);
    w->next = s->watches;
    s->watches = w;
    pthread_mutex_unlock(&s->watch_lock);
    *ret = w;
    return 0;
}

void watch_close(struct watch *w)
{
    if (!w)
        return;
    struct store *s = w->store;
    pthread_mutex_lock(&s->watch_lock);
    struct watch **at = &s->watches;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    pthread_mutex_unlock(&s->watch_lock);
    pthread_cond_destroy(&w->bell);
    free(w->kinds);
    free(w);
}

void watches_wake(struct store *s)
{
    pthread_mutex_lock(&s->watch_lock);
    for (struct watch *w = s->watches; w; w = w->next) {
        bool concerned = false;
        for (size_t i = 0; i < s->n_tables && !concerned; i++)
            concerned = w->kinds[i] && s->touched[i];
        if (!concerned)
            continue;
        pthread_cond_broadcast(&w->bell);
        if (w->wake)
            w->wake(w->arg);
    }
    pthread_mutex_unlock(&s->watch_lock);
}

void watch_interrupt(struct watch *w)
{
    pthread_mutex_lock(&w->store->watch_lock);
    w->interrupted = true;
    pthread_cond_broadcast(&w->bell);
    pthread_mutex_unlock(&w->store->watch_lock);
}

static void copy_text(char *out, size_t size, sqlite3_stmt *stmt, int column)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);
    (void)snprintf(out, size, "%s", str_or(text, ""));
}

static int changes_read(struct watch *w, struct connection *c, struct change *ret, size_t max, size_t *ret_n)
{
    struct store *s = w->store;
    sqlite3_stmt *stmt;
    int r = connection_prepare(c, "SELECT seq, kind, id, deleted, host, host_before FROM changes "
                                  "WHERE seq>? ORDER BY seq", &stmt);
    if (r < 0)
        return r;
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)w->seq);
    size_t n = 0;
    while (n < max && (r = statement_row(c, stmt)) > 0) {
        w->seq = (uint64_t)sqlite3_column_int64(stmt, 0);
        size_t number = (size_t)sqlite3_column_int64(stmt, 1);
        const struct table *t = number < s->n_numbers ? s->by_number[number] : NULL;
        if (!t || !w->kinds[t->index])
            continue;
        ret[n] = (struct change){
            .revision = w->seq >> CHANGE_BITS, .kind = t->kind, .deleted = sqlite3_column_int(stmt, 3),
        };
        copy_text(ret[n].id, sizeof(ret[n].id), stmt, 2);
        copy_text(ret[n].host, sizeof(ret[n].host), stmt, 4);
        copy_text(ret[n].host_before, sizeof(ret[n].host_before), stmt, 5);
        n++;
    }
    statement_done(stmt);
    *ret_n = n;
    return r < 0 ? r : 0;
}

/* Takes what is there without waiting. */
static int changes_take(struct watch *w, struct change *ret, size_t max, size_t *ret_n)
{
    struct store *s = w->store;
    uint64_t now = s->revision, seen = w->seq >> CHANGE_BITS;
    if (seen < s->changes_floor || seen > now) {
        w->seq = end_of(now);
        return WATCH_LOST;
    }
    if (w->seq >= end_of(now))
        return 0;
    struct connection *c;
    int r = reader_take(s, &c);
    if (r < 0)
        return r;
    r = changes_read(w, c, ret, max, ret_n);
    /* All up to 'now' was seen, so those of other kinds need not be read again. */
    if (r == 0 && *ret_n < max)
        w->seq = MAX(w->seq, end_of(now));
    reader_give(s, c);
    /* Dropped while it was read? */
    if (r == 0 && seen < s->changes_floor) {
        *ret_n = 0;
        w->seq = end_of(s->revision);
        return WATCH_LOST;
    }
    return r;
}

static struct timespec deadline_in(usec_t timeout)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += (time_t)(timeout / 1000000);
    ts.tv_nsec += (long)(timeout % 1000000) * 1000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }
    return ts;
}

int watch_next(struct watch *w, usec_t timeout, struct change *ret, size_t max, size_t *ret_n)
{
    struct store *s = w->store;
    /* Real time, whatever the test's clock says: it bounds a wait, it decides nothing. */
    struct timespec deadline = deadline_in(timeout);
    *ret_n = 0;
    for (bool late = timeout <= 0;;) {
        int r = changes_take(w, ret, max, ret_n);
        if (r != 0 || *ret_n)
            return r;
        pthread_mutex_lock(&s->watch_lock);
        while (!late && !w->interrupted && w->seq >= end_of(s->revision))
            late = pthread_cond_timedwait(&w->bell, &s->watch_lock, &deadline) == ETIMEDOUT;
        bool stop = w->interrupted || (late && w->seq >= end_of(s->revision));
        if (w->interrupted)
            w->interrupted = false;
        pthread_mutex_unlock(&s->watch_lock);
        if (stop)
            return 0;
    }
}
