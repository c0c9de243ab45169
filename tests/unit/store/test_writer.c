/* Many callers at once, and every step failing once. */
#include "base/effect.h"
#include "things.h"

#include <errno.h>
#include <pthread.h>

#define WRITERS 8
#define ROUNDS 60

/* Moves one from "a" to "b" (or makes them), so that their sum stays 0; refuses each third time. */
static int move_one(struct txn *t, void *arg)
{
    struct thing *a, *b;
    size_t *calls = arg;
    int r = txn_get(t, &THING, "a", &a);
    if (r == 0)
        r = txn_get(t, &THING, "b", &b);
    if (r < 0)
        return r;
    struct thing a2 = { .head.id = "a", .size = (a ? a->size : 0) - 1 };
    struct thing b2 = { .head.id = "b", .size = (b ? b->size : 0) + 1 };
    if ((r = txn_put(t, &THING, &a2)) != 0 || (r = txn_put(t, &THING, &b2)) != 0)
        return r;
    return ++*calls % 3 == 0 ? FAULT : 0;
}

static void *mover(void *arg)
{
    struct world *w = arg;
    size_t calls = 0, refused = 0;
    struct arena *a = arena_new(0);
    for (int i = 0; i < ROUNDS; i++) {
        int r = store_write(w->store, a, move_one, &calls);
        assert_true(r == 0 || r == FAULT);
        refused += r == FAULT;
        arena_reset(a);
    }
    assert_int_equal(refused, ROUNDS / 3);
    arena_free(a);
    return NULL;
}

static _Atomic bool stop;

static void *looker(void *arg)
{
    struct world *w = arg;
    struct arena *a = arena_new(0);
    int64_t last = 0;
    while (!stop) {
        struct txn *t;
        struct thing *x, *y;
        assert_int_equal(store_read(w->store, a, &t), 0);
        assert_int_equal(txn_get(t, &THING, "a", &x), 0);
        assert_int_equal(txn_get(t, &THING, "b", &y), 0);
        assert_true(!x == !y);
        if (x) {
            assert_int_equal(x->size + y->size, 0);
            assert_true(y->size >= last);
            last = y->size;
        }
        txn_done(t);
        arena_reset(a);
    }
    arena_free(a);
    return NULL;
}

static void many_at_once(void **state)
{
    struct world *w = *state;
    pthread_t writers[WRITERS], readers[3];
    stop = false;
    for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
        assert_int_equal(pthread_create(&readers[i], NULL, looker, w), 0);
    for (size_t i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, mover, w), 0);
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    stop = true;
    for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
        pthread_join(readers[i], NULL);
    _cleanup_(txn_donep) struct txn *t = NULL;
    struct thing *b;
    assert_int_equal(store_read(w->store, w->arena, &t), 0);
    assert_int_equal(txn_get(t, &THING, "b", &b), 0);
    assert_int_equal(b->size, WRITERS * ROUNDS * 2 / 3);
    assert_int_equal(txn_revision(t), WRITERS * ROUNDS * 2 / 3);
}

static int put_two_and_delete(struct txn *t, void *arg)
{
    struct thing x = { .head.id = "x", .code = "cx" }, y = { .head.id = "y", .code = "cy" };
    int r;
    (void)arg;
    if ((r = txn_put(t, &THING, &x)) != 0 || (r = txn_put(t, &THING, &y)) != 0)
        return r;
    return txn_delete(t, &THING, "z");
}

static void every_step_fails_once(void **state)
{
    (void)state;
    int n = 1;
    for (bool fired = true; fired; n++) {
        void *own;
        world_setup(&own);
        struct world *w = own;
        struct thing z = { .head.id = "z", .code = "cz" };
        struct query q = { .kind = &THING };
        assert_int_equal(thing_put(w, &z), 0);
        effect_fail_at(n, -EIO);
        int r = store_write(w->store, w->arena, put_two_and_delete, NULL);
        fired = effect_fired();
        effect_fail_at(0, 0);
        assert_int_equal(r, fired ? -EIO : 0);
        assert_string_equal(ids_of(w, &q), fired ? "z" : "x,y");
        /* and the store goes on */
        if (fired)
            assert_int_equal(store_write(w->store, w->arena, put_two_and_delete, NULL), 0);
        assert_string_equal(ids_of(w, &q), "x,y");
        struct fault fault;
        assert_int_equal(store_check(w->store, &fault), 0);
        world_teardown(&own);
    }
    assert_int_equal(n - 1, 6);     /* begin, two puts, a delete, the commit, and none */
}

static int overlook(struct txn *t, void *arg)
{
    struct thing x = { .head.id = "x" };
    (void)arg;
    effect_fail_at(1, -EIO);
    assert_int_equal(txn_put(t, &THING, &x), -EIO);
    effect_fail_at(0, 0);
    return txn_put(t, &OTHER, &x);
}

static void overlooked_failure_does_not_commit(void **state)
{
    struct world *w = *state;
    struct query q = { .kind = &OTHER };
    assert_int_equal(store_write(w->store, w->arena, overlook, NULL), -EIO);
    assert_string_equal(ids_of(w, &q), "");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(many_at_once), cmocka_unit_test(every_step_fails_once), T(overlooked_failure_does_not_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
