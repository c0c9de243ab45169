/*
 * How quick the store is: durable commits from 1, 16 and 32 threads, reads of one object, pages
 * of 20 and 100 out of 10,000, and what 100,000 objects cost in memory.
 *
 *     store [folder]      the folder to measure in, /var/tmp otherwise: its disk is what counts
 *
 * Prints one line per measurement: name, value, unit. Takes some twenty seconds.
 */
#include "store/store.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>

struct project {
    struct object head;
    const char *name, *description, *domain_id, *parent_id;
    bool enabled, is_domain;
    usec_t created_at;
    struct strv tags;
    struct strmap options;
};

static const struct field FIELDS[] = {
    FIELD_ID(struct project),
    { "name", FIELD_STRING, offsetof(struct project, name), FILTER | SORT | INDEX | SORT_NOCASE },
    { "description", FIELD_STRING, offsetof(struct project, description), 0 },
    { "domain_id", FIELD_STRING, offsetof(struct project, domain_id), FILTER | INDEX },
    { "parent_id", FIELD_STRING, offsetof(struct project, parent_id), FILTER },
    { "enabled", FIELD_BOOL, offsetof(struct project, enabled), FILTER },
    { "is_domain", FIELD_BOOL, offsetof(struct project, is_domain), FILTER },
    { "created_at", FIELD_TIME, offsetof(struct project, created_at), SORT },
    { "tags", FIELD_STRINGS, offsetof(struct project, tags), FILTER | INDEX },
    { "options", FIELD_MAP, offsetof(struct project, options), 0 },
};
static SCHEMA(PROJECT_SCHEMA, struct project, FIELDS);

static void project_keys(const void *object, struct key_sink *k)
{
    const struct project *p = object;
    char text[300];
    (void)snprintf(text, sizeof(text), "%s/%s", p->domain_id, p->name);
    key_add_unique(k, "domain/name", text);
}

static const char *const INDEXES[] = { "domain_id,name", NULL };
static const struct kind PROJECT = {
    .name = "bench.project", .schema = &PROJECT_SCHEMA, .indexes = INDEXES, .keys = project_keys,
};
static const struct kind *const KINDS[] = { &PROJECT, NULL };

static struct store *store;

static void must(int r, const char *what)
{
    if (r == 0)
        return;
    (void)fprintf(stderr, "%s: %s\n", what, r < 0 ? strerror(-r) : "refused");
    exit(1);
}

static long resident_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long pages = 0, shared = 0;
    if (f && fscanf(f, "%*d %ld %ld", &pages, &shared) != 2)
        pages = 0;
    if (f)
        (void)fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int put_batch(struct txn *t, void *arg)
{
    size_t from = *(size_t *)arg;
    for (size_t i = from; i < from + 500; i++) {
        struct arena *a = txn_arena(t);
        struct project p = {
            .head.id = arena_printf(a, "%032zx", i * 2654435761u), .name = arena_printf(a, "project-%zu", i),
            .description = "A project of the benchmark, with a description of some length.",
            .domain_id = "default", .parent_id = "default", .enabled = true, .created_at = (usec_t)i * 1000000,
        };
        strmap_set(a, &p.options, "color", "green");
        int r = txn_put(t, &PROJECT, &p);
        if (r)
            return r;
    }
    return 0;
}

static void fill(size_t from, size_t to)
{
    for (size_t i = from; i < to; i += 500) {
        struct arena *a = arena_new(0);
        must(store_write(store, a, put_batch, &i), "fill");
        arena_free(a);
    }
}

static int put_one(struct txn *t, void *arg)
{
    return txn_put(t, &PROJECT, arg);
}

struct job {
    pthread_t thread;
    size_t index, n;
    usec_t until;
};

static void *commit_thread(void *arg)
{
    struct job *j = arg;
    struct arena *a = arena_new(0);
    for (; clock_mono() < j->until; j->n++) {
        struct project p = {
            .head.id = arena_printf(a, "w%zu-%zu", j->index, j->n % 100), .domain_id = "w",
            .name = arena_printf(a, "w%zu-%zu", j->index, j->n % 100), .created_at = clock_wall(),
        };
        must(store_write(store, a, put_one, &p), "write");
        arena_reset(a);
    }
    arena_free(a);
    return NULL;
}

static void *get_thread(void *arg)
{
    struct job *j = arg;
    struct arena *a = arena_new(0);
    for (; j->n % 64 || clock_mono() < j->until; j->n++) {
        struct txn *t;
        struct project *p;
        must(store_read(store, a, &t), "read");
        must(txn_get(t, &PROJECT, arena_printf(a, "%032zx", j->n * 7 % 10000 * 2654435761u), &p), "get");
        txn_done(t);
        must(p == NULL, "not found");
        arena_reset(a);
    }
    arena_free(a);
    return NULL;
}

static void *find_thread(void *arg)
{
    struct job *j = arg;
    struct arena *a = arena_new(0);
    for (; j->n % 64 || clock_mono() < j->until; j->n++) {
        struct txn *t;
        struct project *p;
        must(store_read(store, a, &t), "read");
        must(txn_find_by(t, &PROJECT, "domain/name", arena_printf(a, "default/project-%zu", j->n * 7 % 10000), &p), "find");
        txn_done(t);
        must(p == NULL, "not found");
        arena_reset(a);
    }
    arena_free(a);
    return NULL;
}

static size_t page_size;
static const char *page_sort;

static void *list_thread(void *arg)
{
    struct job *j = arg;
    struct arena *a = arena_new(0);
    for (; clock_mono() < j->until; j->n++) {
        struct txn *t;
        struct results found;
        struct query q = { .kind = &PROJECT, .limit = page_size };
        q.marker = j->n % 2 ? arena_printf(a, "%032zx", j->n * 13 % 9000 * 2654435761u) : NULL;
        query_where(&q, a, "domain_id", Q_EQ, "default");
        query_where(&q, a, "is_domain", Q_EQ, "false");
        if (page_sort)
            query_sort(&q, a, page_sort, false);
        must(store_read(store, a, &t), "read");
        must(txn_list(t, &q, &found), "list");
        txn_done(t);
        must(found.n == 0, "empty");
        arena_reset(a);
    }
    arena_free(a);
    return NULL;
}

static double rate(void *(*fn)(void *), size_t threads, usec_t how_long)
{
    struct job jobs[64] = { 0 };
    usec_t begun = clock_mono();
    for (size_t i = 0; i < threads; i++) {
        jobs[i].index = i;
        jobs[i].until = begun + how_long;
        must(-pthread_create(&jobs[i].thread, NULL, fn, &jobs[i]), "thread");
    }
    size_t n = 0;
    for (size_t i = 0; i < threads; i++) {
        (void)pthread_join(jobs[i].thread, NULL);
        n += jobs[i].n;
    }
    return (double)n / ((double)(clock_mono() - begun) / 1e6);
}

static void decode_alone(void)
{
    struct arena *b = arena_new(0);
    struct txn *t;
    const char *text;
    must(store_read(store, b, &t), "read");
    size_t n = 0;
    usec_t begun = clock_mono();
    while (clock_mono() < begun + SECONDS(1) / 2) {
        for (int i = 0; i < 100; i++, n++) {
            must(txn_get_text(t, &PROJECT, arena_printf(b, "%032zx", n * 7 % 10000 * 2654435761u), &text), "text");
            arena_reset(b);
        }
    }
    printf("get text in one transaction    %10.2f us\n", (double)(clock_mono() - begun) / (double)n);
    txn_done(t);
    arena_free(b);
}

int main(int argc, char **argv)
{
    char dir[256], path[300];
    (void)snprintf(dir, sizeof(dir), "%s/yunduo-bench-XXXXXX", argc > 1 ? argv[1] : "/var/tmp");
    if (!mkdtemp(dir))
        must(-errno, dir);
    (void)snprintf(path, sizeof(path), "%s/store", dir);
    struct fault fault = { 0 };
    must(store_open(&(struct store_options){ .path = path, .kinds = KINDS }, &store, &fault), "open");
    printf("resident, empty                %10ld KiB\n", resident_kib());
    fill(0, 10000);
    printf("get one, 1 thread              %10.0f /s\n", rate(get_thread, 1, SECONDS(1)));
    printf("get one, 2 threads             %10.0f /s\n", rate(get_thread, 2, SECONDS(1)));
    printf("find by key, 1 thread          %10.0f /s\n", rate(find_thread, 1, SECONDS(1)));
    decode_alone();
    page_size = 20;
    printf("list 20 of 10,000 by id        %10.0f /s\n", rate(list_thread, 1, SECONDS(1)));
    page_sort = "name";
    printf("list 20 of 10,000 by name      %10.0f /s\n", rate(list_thread, 1, SECONDS(1)));
    page_size = 100;
    printf("list 100 of 10,000 by name     %10.0f /s\n", rate(list_thread, 1, SECONDS(1)));
    page_size = 10000;
    printf("list all 10,000                %10.1f /s\n", rate(list_thread, 1, SECONDS(1)));
    size_t threads[] = { 1, 16, 32 };
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        printf("durable commits, %2zu threads    %10.0f /s\n", threads[i], rate(commit_thread, threads[i], SECONDS(2)));
    store_close(store);
    (void)malloc_trim(0);

    usec_t begun = clock_mono();
    must(store_open(&(struct store_options){ .path = path, .kinds = KINDS }, &store, &fault), "open again");
    printf("open with 10,000               %10.1f ms\n", (double)(clock_mono() - begun) / 1000);
    begun = clock_mono();
    fill(10000, 100000);
    printf("write 90,000 in groups of 500  %10.0f /s\n", 90000 / ((double)(clock_mono() - begun) / 1e6));
    page_size = 100;
    (void)rate(list_thread, 4, SECONDS(1) / 4);
    (void)rate(get_thread, 4, SECONDS(1) / 4);
    printf("resident, 100,000 and 4 readers%10ld KiB\n", resident_kib());
    store_close(store);
    static const char *const ENDS[] = { "", "-wal", "-shm" };
    for (size_t i = 0; i < ARRAY_SIZE(ENDS); i++) {
        (void)snprintf(path, sizeof(path), "%s/store%s", dir, ENDS[i]);
        (void)unlink(path);
    }
    (void)rmdir(dir);
    return 0;
}
