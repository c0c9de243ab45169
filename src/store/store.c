/*
 * Opening, closing, copying and checking a store.
 *
 * ":memory:" is a file in a folder of its own on a memory file system: the same engine, locks
 * and log as on a disk, so a test sees what production does. The folder's name holds the
 * process, and whoever opens the next one removes those of the dead.
 */
#include "base/log.h"
#include "store/engine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

LOG_MODULE("store.open");

#define SCRATCH "/dev/shm"
#define SCRATCH_PREFIX "yunduo-store-"

static void sqlite_init(void)
{
    /* No count of the memory in use: it takes a lock of the whole process at each allocation. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    (void)sqlite3_initialize();
}

static void scratch_remove(const char *dir)
{
    static const char *const FILES[] = { "db", "db-wal", "db-shm", "db-journal" };
    for (size_t i = 0; i < ARRAY_SIZE(FILES); i++) {
        char path[512];
        (void)snprintf(path, sizeof(path), "%s/%s", dir, FILES[i]);
        (void)unlink(path);
    }
    (void)rmdir(dir);
}

static void closedirp(DIR **d)
{
    if (*d)
        (void)closedir(*d);
}

static void scratch_sweep(const char *where)
{
    _cleanup_(closedirp) DIR *d = opendir(where);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!str_starts(e->d_name, SCRATCH_PREFIX))
            continue;
        long pid = strtol(e->d_name + strlen(SCRATCH_PREFIX), NULL, 10);
        char path[384];
        (void)snprintf(path, sizeof(path), "%s/%s", where, e->d_name);
        if (pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH)
            scratch_remove(path);
    }
}

static int scratch_make(struct store *s)
{
    const char *where = access(SCRATCH, W_OK) == 0 ? SCRATCH : "/tmp";
    scratch_sweep(where);
    char dir[128], path[160];
    (void)snprintf(dir, sizeof(dir), "%s/" SCRATCH_PREFIX "%ld-XXXXXX", where, (long)getpid());
    if (!mkdtemp(dir))
        return -errno;
    (void)snprintf(path, sizeof(path), "%s/db", dir);
    s->scratch = strdup(dir);
    s->path = strdup(path);
    if (s->scratch && s->path)
        return 0;
    (void)rmdir(dir);
    return -ENOMEM;
}

static int tables_make(struct store *s, const struct kind *const *kinds)
{
    size_t n = 0;
    while (kinds[n])
        n++;
    s->tables = calloc(n + 1, sizeof(*s->tables));
    s->touched = calloc(n + 1, sizeof(*s->touched));
    if (!s->tables || !s->touched)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        struct table *t;
        int r = table_new(kinds[i], &t);
        if (r < 0)
            return r;
        t->index = i;
        s->tables[s->n_tables++] = t;
        HASH_ADD_PTR(s->by_kind, kind, t);
        if (!t->hh.tbl)
            return -ENOMEM;
    }
    return 0;
}

static int numbers_make(struct store *s)
{
    for (size_t i = 0; i < s->n_tables; i++)
        s->n_numbers = MAX(s->n_numbers, (size_t)s->tables[i]->number + 1);
    s->by_number = calloc(s->n_numbers + 1, sizeof(struct table *));
    if (!s->by_number)
        return -ENOMEM;
    for (size_t i = 0; i < s->n_tables; i++)
        s->by_number[s->tables[i]->number] = s->tables[i];
    return 0;
}

static int open_all(struct store *s, const struct store_options *o, struct fault *fault)
{
    int r;
    if (STREQ(o->path, ":memory:"))
        r = scratch_make(s);
    else
        r = (s->path = strdup(o->path)) ? 0 : -ENOMEM;
    if (r == 0)
        r = tables_make(s, o->kinds);
    if (r == 0) {
        /* Nobody else needs to read passwords' hashes and keys. */
        mode_t old = umask(0077);
        r = connection_open(s, ROLE_WRITER, &s->writer);
        if (r == 0)
            r = store_upgrade(s, fault);
        (void)umask(old);
        if (r == -EUCLEAN)
            return fault_set(fault, 0, "store", "%s is damaged, or no store", s->path);
    }
    if (r == 0)
        r = numbers_make(s);
    return r ? r : writer_start(s);
}

int store_open(const struct store_options *o, struct store **ret, struct fault *fault)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, sqlite_init);
    struct store *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->pool_lock, NULL);
    pthread_mutex_init(&s->watch_lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    s->last = &s->first;
    s->relaxed = o->relaxed || STREQ(o->path, ":memory:");
    s->changes_kept = o->changes_kept ? o->changes_kept : CHANGES_KEPT;
    int r = open_all(s, o, fault);
    if (r) {
        store_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    assert(!s->watches);
    writer_stop(s);
    while (s->pool) {
        struct connection *c = s->pool;
        s->pool = c->next;
        connection_close(c);
    }
    /* The last one to go takes the log into the file. */
    connection_close(s->writer);
    HASH_CLEAR(hh, s->by_kind);
    for (size_t i = 0; i < s->n_tables; i++)
        table_free(s->tables[i]);
    if (s->scratch)
        scratch_remove(s->scratch);
    free(s->tables);
    free(s->touched);
    free(s->by_number);
    free(s->path);
    free(s->scratch);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->pool_lock);
    pthread_mutex_destroy(&s->watch_lock);
    pthread_cond_destroy(&s->wake);
    free(s);
}
