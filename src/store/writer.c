/*
 * The one thread that writes.
 *
 * Closures queue up while the disk confirms a commit; the thread then takes all that are there,
 * runs each inside a savepoint, so that one that refuses leaves nothing, and makes them durable
 * with one commit: the more callers, the more closures per flush. A caller is woken when its
 * closure's commit is on the disk, or when that has failed for all of its group.
 *
 * The revision grows by one with each closure that wrote something.
 */
#include "base/counter.h"
#include "base/effect.h"
#include "base/log.h"
#include "store/engine.h"

#include <errno.h>
#include <signal.h>

LOG_MODULE("store.writer");

COUNTER(commits, "store_commits_total", "Commits, each of one or more transactions.");
COUNTER(writes, "store_writes_total", "Transactions that wrote.");
COUNTER(failures, "store_commit_failures_total", "Commits that failed; their transactions were refused.");
COUNTER(checkpoint_failures, "store_checkpoint_failures_total", "Checkpoints that failed.");

#define CHECKPOINT_FRAMES 1000      /* 4 MB of log */
#define ANALYZE_FIRST 500           /* revisions */

struct write {
    int (*fn)(struct txn *t, void *arg);
    void *arg;
    struct arena *arena;
    int result;
    bool done;
    pthread_cond_t wake;
    struct write *next;             /* in the queue */
    struct write *next_run;         /* in the group that waits for its commit */
};

static int run_sql(struct connection *c, const char *sql)
{
    sqlite3_stmt *stmt;
    int r = connection_prepare(c, sql, &stmt);
    return r < 0 ? r : statement_run(c, stmt);
}

/* Leaves nothing of a closure that did not succeed. */
static int undo(struct connection *c)
{
    int r = run_sql(c, "ROLLBACK TO closure");
    return r < 0 ? r : run_sql(c, "RELEASE closure");
}

/* Runs one closure. Sets its result; negative when the whole group is lost. */
static int run_one(struct connection *c, struct write *w, uint64_t *revision)
{
    int r = run_sql(c, "SAVEPOINT closure");
    if (r < 0)
        return w->result = r;
    c->txn = (struct txn){
        .store = c->store, .conn = c, .arena = w->arena, .writing = true, .revision = *revision,
    };
    w->result = w->fn(&c->txn, w->arg);
    if (w->result == 0 && c->txn.broken < 0)
        w->result = c->txn.broken;
    if (w->result == 0 && arena_failed(w->arena))
        w->result = -ENOMEM;
    /* A full disk or lack of memory makes SQLite itself roll back everything. */
    if (sqlite3_get_autocommit(c->db)) {
        if (w->result >= 0)
            w->result = -EIO;
        return w->result;
    }
    if (w->result != 0)
        return undo(c);
    *revision += c->txn.n_changes > 0;
    counter_add(&writes, c->txn.n_changes > 0);
    return run_sql(c, "RELEASE closure");
}

static int prune(struct store *s, uint64_t from, uint64_t to)
{
    uint64_t every = s->changes_kept / 64 + 1;
    if (from / every == to / every || to <= s->changes_kept)
        return 0;
    uint64_t floor = to - s->changes_kept;
    sqlite3_stmt *stmt;
    int r = connection_prepare(s->writer, "DELETE FROM changes WHERE seq<?", &stmt);
    if (r < 0)
        return r;
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)((floor + 1) << CHANGE_BITS));
    r = statement_run(s->writer, stmt);
    if (r == 0)
        r = meta_write(s->writer, "changes_floor", (int64_t)floor);
    if (r == 0)
        s->changes_floor = floor;   /* early, if the commit fails: a watch lists once too often */
    return r;
}

static int finish(struct store *s, uint64_t before, uint64_t after)
{
    int r = effect("store.commit");
    if (r == 0 && after != before) {
        r = prune(s, before, after);
        if (r == 0)
            r = meta_write(s->writer, "revision", (int64_t)after);
    }
    return r < 0 ? r : run_sql(s->writer, "COMMIT");
}

/* Takes the log into the file. Returns at which length of the log to do it again: a reader of an
 * old state may keep us from taking all of it, and then trying at each commit would be in vain. */
static int checkpoint(struct store *s)
{
    int frames = 0, copied = 0;
    int rc = sqlite3_wal_checkpoint_v2(s->writer->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &copied);
    if (rc != SQLITE_OK && rc != SQLITE_BUSY) {
        counter_inc(&checkpoint_failures);
        (void)sqlite_errno(s->writer->db, rc);
    }
    return rc == SQLITE_OK && copied == frames ? CHECKPOINT_FRAMES : frames + CHECKPOINT_FRAMES;
}

/* Samples how selective each index is, each time the store has doubled what it went through:
 * without that, the planner can't tell an index on a project from one on a status. Readers learn
 * of it with their next connection. */
static void analyze(struct store *s)
{
    if (s->revision < 2 * s->analyzed + ANALYZE_FIRST)
        return;
    s->analyzed = s->revision;
    int r = connection_exec(s->writer, "PRAGMA analysis_limit=400; ANALYZE");
    if (r == 0)
        r = meta_write(s->writer, "analyzed", (int64_t)s->analyzed);
    if (r == 0)
        s->generation++;
    else
        log_debug("no statistics", KV("error", strerror(-r)));
}

static int on_commit(void *arg, sqlite3 *db, const char *name, int frames)
{
    (void)db;
    (void)name;
    *(int *)arg = frames;
    return SQLITE_OK;
}

/* Runs the closures from *queue on and commits them. Those that a lost group left over stay. */
static void run_group(struct store *s, struct write **queue)
{
    struct connection *c = s->writer;
    uint64_t before = s->revision, after = before;
    struct write *ran = NULL;
    memset(s->touched, 0, s->n_tables * sizeof(*s->touched));
    int r = effect("store.begin");
    if (r == 0)
        r = run_sql(c, "BEGIN IMMEDIATE");
    while (*queue) {
        struct write *w = *queue;
        *queue = w->next;
        w->next_run = ran;
        ran = w;
        if (r < 0)
            w->result = r;
        else if ((r = run_one(c, w, &after)) < 0)
            break;
    }
    if (r == 0)
        r = finish(s, before, after);
    if (r < 0) {
        counter_inc(&failures);
        log_debug("a group of writes is lost", KV("error", strerror(-r)));
        if (!sqlite3_get_autocommit(c->db))
            (void)run_sql(c, "ROLLBACK");
    } else if (after != before) {
        counter_inc(&commits);
        s->revision = after;
    }
    /* Before the callers hear of it: what they do next must not meet a cache that a watch was to clear. */
    if (r == 0 && after != before)
        watches_wake(s);
    pthread_mutex_lock(&s->lock);
    for (struct write *w = ran, *next; w; w = next) {
        next = w->next_run;
        if (r < 0 && w->result == 0)
            w->result = r;
        w->done = true;
        pthread_cond_signal(&w->wake);
    }
    pthread_mutex_unlock(&s->lock);
}

static void *writer_main(void *arg)
{
    struct store *s = arg;
    int frames = 0, checkpoint_at = CHECKPOINT_FRAMES;
    (void)pthread_setname_np(pthread_self(), "store-writer");
    (void)sqlite3_wal_hook(s->writer->db, on_commit, &frames);
    for (;;) {
        pthread_mutex_lock(&s->lock);
        while (!s->first && !s->stopping)
            pthread_cond_wait(&s->wake, &s->lock);
        struct write *queue = s->first;
        s->first = NULL;
        s->last = &s->first;
        pthread_mutex_unlock(&s->lock);
        if (!queue)
            break;
        while (queue)
            run_group(s, &queue);
        analyze(s);
        if (frames >= checkpoint_at) {
            checkpoint_at = checkpoint(s);
            frames = 0;
        }
    }
    return NULL;
}

int writer_start(struct store *s)
{
    /* Signals are for the main thread. */
    sigset_t all, old;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&s->thread, NULL, writer_main, s);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    s->thread_runs = r == 0;
    return -r;
}

void writer_stop(struct store *s)
{
    if (!s->thread_runs)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    (void)pthread_join(s->thread, NULL);
    s->thread_runs = false;
}

int store_write(struct store *s, struct arena *a, int (*fn)(struct txn *t, void *arg), void *arg)
{
    struct write w = { .fn = fn, .arg = arg, .arena = a };
    assert(!pthread_equal(pthread_self(), s->thread));      /* it would wait for itself */
    pthread_cond_init(&w.wake, NULL);
    pthread_mutex_lock(&s->lock);
    *s->last = &w;
    s->last = &w.next;
    pthread_cond_signal(&s->wake);
    while (!w.done)
        pthread_cond_wait(&w.wake, &s->lock);
    pthread_mutex_unlock(&s->lock);
    pthread_cond_destroy(&w.wake);
    return w.result;
}
