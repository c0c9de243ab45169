/*
 * A process that writes without a pause is killed at random moments. Whatever it was told is
 * durable must be there afterwards, whole, and the file must be sound.
 *
 * The child's threads write pairs: two objects in one transaction with the same number. After
 * the store has said yes they put that number into a pipe; the parent collects what was
 * acknowledged before the kill. Each round goes on with the file of the last one.
 */
#include "things.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define ROUNDS 20
#define THREADS 4

struct ack {
    int64_t thread, number;
};

struct child {
    struct store *store;
    int fd;
    int64_t thread, from;
};

static const char *name_of(struct arena *a, int64_t thread, char half)
{
    return arena_printf(a, "t%d%c", (int)thread, half);
}

static int put_pair(struct txn *t, void *arg)
{
    const struct ack *k = arg;
    struct arena *a = txn_arena(t);
    for (char half = 'a'; half <= 'b'; half++) {
        struct thing x = {
            .head.id = name_of(a, k->thread, half), .size = k->number,
            .code = arena_printf(a, "%d%c-%d", (int)k->thread, half, (int)k->number),
            .name = "a name of some length, so that pages fill and the log grows",
        };
        int r = txn_put(t, &THING, &x);
        if (r)
            return r;
    }
    return 0;
}

static void *child_thread(void *arg)
{
    struct child *c = arg;
    struct arena *a = arena_new(0);
    for (struct ack k = { c->thread, c->from };; k.number++) {
        if (store_write(c->store, a, put_pair, &k) != 0 || write(c->fd, &k, sizeof(k)) != (ssize_t)sizeof(k))
            _exit(3);
        arena_reset(a);
    }
    return NULL;
}

static void child_main(const char *path, int fd, const int64_t *from)
{
    struct store *s;
    struct fault fault;
    struct child c[THREADS];
    pthread_t threads[THREADS];
    if (store_open(&(struct store_options){ .path = path, .kinds = KINDS }, &s, &fault) != 0)
        _exit(2);
    for (int64_t i = 0; i < THREADS; i++) {
        c[i] = (struct child){ s, fd, i, from[i] };
        if (pthread_create(&threads[i], NULL, child_thread, &c[i]) != 0)
            _exit(4);
    }
    pthread_join(threads[0], NULL);
    _exit(5);
}

/* Reads acknowledgements until 'until', or with 0 until the end. */
static size_t collect(int fd, usec_t until, int64_t *acked)
{
    struct ack k;
    size_t n = 0;
    for (;;) {
        usec_t left = until ? until - clock_mono() : SECONDS(10);
        struct pollfd p = { fd, POLLIN, 0 };
        if (left <= 0 || poll(&p, 1, (int)(left / 1000) + 1) <= 0)
            return n;
        ssize_t got = read(fd, &k, sizeof(k));
        if (got != (ssize_t)sizeof(k))
            return n;
        assert_true(k.number > acked[k.thread]);
        acked[k.thread] = k.number;
        n++;
    }
}

static void check_file(const char *path, int64_t *acked)
{
    struct store *s;
    struct fault fault = { 0 };
    struct txn *t;
    struct arena *a = arena_new(0);
    if (store_open(&(struct store_options){ .path = path, .kinds = KINDS }, &s, &fault) != 0)
        fail_msg("open: %s", fault.message);
    if (store_check(s, &fault) != 0)
        fail_msg("check: %s", fault.message);
    assert_int_equal(store_read(s, a, &t), 0);
    for (int64_t i = 0; i < THREADS; i++) {
        struct thing *x, *y, *found;
        assert_int_equal(txn_get(t, &THING, name_of(a, i, 'a'), &x), 0);
        assert_int_equal(txn_get(t, &THING, name_of(a, i, 'b'), &y), 0);
        assert_true(!x == !y);
        if (!x) {
            assert_int_equal(acked[i], -1);
            continue;
        }
        /* One more than was acknowledged may have been written before the kill. */
        assert_true(x->size == acked[i] || x->size == acked[i] + 1);
        assert_int_equal(x->size, y->size);
        assert_int_equal(txn_find_by(t, &THING, "project/code", arena_printf(a, "/%s", x->code), &found), 0);
        assert_non_null(found);
        assert_string_equal(found->head.id, x->head.id);
        acked[i] = x->size;
    }
    txn_done(t);
    store_close(s);
    arena_free(a);
}

static void killed_at_any_moment(void **state)
{
    (void)state;
    char *dir = folder_new(), path[256];
    (void)snprintf(path, sizeof(path), "%s/db", dir);
    int64_t acked[THREADS], from[THREADS];
    memset(acked, 0xff, sizeof(acked));
    size_t total = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int fds[2];
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        for (int i = 0; i < THREADS; i++)
            from[i] = acked[i] + 1;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            (void)close(fds[0]);
            child_main(path, fds[1], from);
        }
        (void)close(fds[1]);
        unsigned char dice;
        random_bytes(&dice, 1);
        /* The first rounds may hit the making of the file itself. */
        total += collect(fds[0], clock_mono() + (round < 4 ? dice * 100 : 20000 + dice * 500), acked);
        assert_int_equal(kill(pid, SIGKILL), 0);
        total += collect(fds[0], 0, acked);
        (void)close(fds[0]);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        check_file(path, acked);
    }
    assert_true(total > 20);
    print_message("%zu acknowledged writes\n", total);
    folder_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(killed_at_any_moment) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
