/* Watches: all changes, in order, once told; what was dropped is said to be lost. */
#include "things.h"

#include <pthread.h>
#include <stdio.h>

static int put_other(struct txn *t, void *arg)
{
    return txn_put(t, &OTHER, arg);
}

static int delete_thing(struct txn *t, void *arg)
{
    return txn_delete(t, &THING, arg);
}

static void put(struct world *w, const char *id)
{
    struct thing x = { .head.id = id };
    assert_int_equal(thing_put(w, &x), 0);
}

/* What a watch has: "1 a,2 b,3 -a". */
static const char *taken(struct world *w, struct watch *watch, size_t max)
{
    struct change c[16];
    size_t n;
    int r = watch_next(watch, 0, c, max, &n);
    const char *text = "";
    if (r == WATCH_LOST)
        return "LOST";
    assert_int_equal(r, 0);
    for (size_t i = 0; i < n; i++)
        text = arena_printf(w->arena, "%s%s%d %s%s%s", text, i ? "," : "", (int)c[i].revision, c[i].deleted ? "-" : "",
                            c[i].kind == &OTHER ? "other:" : "", c[i].id);
    return text;
}

static void in_order(void **state)
{
    struct world *w = *state;
    struct watch *all, *things, *old;
    struct thing other = { .head.id = "o" };
    put(w, "before");
    const struct kind *only[] = { &THING, NULL };
    assert_int_equal(watch_open(w->store, 0, NULL, NULL, NULL, &all), 0);
    assert_int_equal(watch_open(w->store, 0, only, NULL, NULL, &things), 0);
    assert_string_equal(taken(w, all, 16), "");
    put(w, "a");
    assert_int_equal(store_write(w->store, w->arena, put_other, &other), 0);
    put(w, "b");
    assert_int_equal(store_write(w->store, w->arena, delete_thing, (void *)(uintptr_t)"a"), 0);
    assert_string_equal(taken(w, all, 2), "2 a,3 other:o");
    assert_string_equal(taken(w, all, 16), "4 b,5 -a");
    assert_string_equal(taken(w, all, 16), "");
    assert_string_equal(taken(w, things, 1), "2 a");
    assert_string_equal(taken(w, things, 16), "4 b,5 -a");
    assert_int_equal(watch_open(w->store, 3, NULL, NULL, NULL, &old), 0);
    assert_string_equal(taken(w, old, 16), "4 b,5 -a");
    watch_close(all);
    watch_close(things);
    watch_close(old);
}

static int put_three_and_refuse_or_not(struct txn *t, void *arg)
{
    struct thing x = { .head.id = "x" }, y = { .head.id = "y" };
    int r;
    if ((r = txn_put(t, &THING, &y)) != 0 || (r = txn_put(t, &OTHER, &x)) != 0 || (r = txn_put(t, &THING, &x)) != 0)
        return r;
    return *(int *)arg;
}

static void as_the_closure_wrote_them(void **state)
{
    struct world *w = *state;
    struct watch *all;
    int answer = 5;
    assert_int_equal(watch_open(w->store, 0, NULL, NULL, NULL, &all), 0);
    assert_int_equal(store_write(w->store, w->arena, put_three_and_refuse_or_not, &answer), 5);
    assert_string_equal(taken(w, all, 16), "");
    answer = 0;
    assert_int_equal(store_write(w->store, w->arena, put_three_and_refuse_or_not, &answer), 0);
    assert_string_equal(taken(w, all, 2), "1 y,1 other:x");     /* a page may end inside a revision */
    assert_string_equal(taken(w, all, 2), "1 x");
    watch_close(all);
}

static void hosts_are_told(void **state)
{
    struct world *w = *state;
    struct watch *watch;
    struct change c[4];
    size_t n;
    assert_int_equal(watch_open(w->store, 0, NULL, NULL, NULL, &watch), 0);
    struct thing x = { .head.id = "x" };
    assert_int_equal(thing_put(w, &x), 0);
    x.host = "h1";
    assert_int_equal(thing_put(w, &x), 0);
    x.host = "h2";
    assert_int_equal(thing_put(w, &x), 0);
    assert_int_equal(store_write(w->store, w->arena, delete_thing, (void *)(uintptr_t)"x"), 0);
    assert_int_equal(watch_next(watch, 0, c, 4, &n), 0);
    assert_int_equal(n, 4);
    static const char *const HOSTS[4][2] = { { "", "" }, { "h1", "" }, { "h2", "h1" }, { "", "h2" } };
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(c[i].host, HOSTS[i][0]);
        assert_string_equal(c[i].host_before, HOSTS[i][1]);
    }
    watch_close(watch);
}

static void count_wake(void *arg)
{
    ++*(_Atomic int *)arg;
}

static void wakes_for_its_kinds(void **state)
{
    struct world *w = *state;
    struct watch *watch;
    _Atomic int wakes = 0;
    const struct kind *only[] = { &OTHER, NULL };
    struct thing other = { .head.id = "o" };
    assert_int_equal(watch_open(w->store, 0, only, count_wake, &wakes, &watch), 0);
    put(w, "a");
    assert_int_equal(store_write(w->store, w->arena, put_other, &other), 0);
    put(w, "b");
    /* The bell of a commit rings before the next group begins. */
    assert_int_equal(wakes, 1);
    watch_close(watch);
}

struct sleeper {
    struct watch *watch;
    struct change change;
    size_t n;
    int r;
};

static void *sleep_on(void *arg)
{
    struct sleeper *s = arg;
    s->r = watch_next(s->watch, SECONDS(20), &s->change, 1, &s->n);
    return NULL;
}

static void sleeps_until_told(void **state)
{
    struct world *w = *state;
    pthread_t thread;
    struct sleeper s = { 0 };
    assert_int_equal(watch_open(w->store, 0, NULL, NULL, NULL, &s.watch), 0);
    assert_int_equal(pthread_create(&thread, NULL, sleep_on, &s), 0);
    put(w, "a");
    pthread_join(thread, NULL);
    assert_int_equal(s.r, 0);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.change.id, "a");

    assert_int_equal(pthread_create(&thread, NULL, sleep_on, &s), 0);
    watch_interrupt(s.watch);
    pthread_join(thread, NULL);
    assert_int_equal(s.r, 0);
    assert_int_equal(s.n, 0);
    /* one interruption ends one wait */
    put(w, "b");
    assert_string_equal(taken(w, s.watch, 4), "2 b");
    struct change c;
    size_t n;
    assert_int_equal(watch_next(s.watch, 1000, &c, 1, &n), 0);
    assert_int_equal(n, 0);
    watch_close(s.watch);
}

static void dropped_is_lost(void **state)
{
    (void)state;
    struct world w = { .arena = arena_new(0) };
    struct fault fault;
    char *dir = folder_new(), path[256];
    (void)snprintf(path, sizeof(path), "%s/db", dir);
    struct store_options o = { .path = path, .kinds = KINDS, .relaxed = true, .changes_kept = 20 };
    assert_int_equal(store_open(&o, &w.store, &fault), 0);
    struct watch *slow, *quick, *future;
    assert_int_equal(watch_open(w.store, 0, NULL, NULL, NULL, &slow), 0);
    put(&w, "a");
    assert_string_equal(taken(&w, slow, 1), "1 a");
    for (int i = 0; i < 10; i++)
        put(&w, "b");
    assert_string_equal(taken(&w, slow, 1), "2 b");
    for (int i = 0; i < 30; i++)
        put(&w, "c");
    assert_string_equal(taken(&w, slow, 1), "LOST");
    assert_string_equal(taken(&w, slow, 1), "");
    put(&w, "d");
    assert_string_equal(taken(&w, slow, 4), "42 d");
    /* what is kept can be asked for; what is older, or never was, is lost */
    assert_int_equal(watch_open(w.store, 40, NULL, NULL, NULL, &quick), 0);
    assert_string_equal(taken(&w, quick, 4), "41 c,42 d");
    watch_close(quick);
    assert_int_equal(watch_open(w.store, 3, NULL, NULL, NULL, &quick), 0);
    assert_string_equal(taken(&w, quick, 4), "LOST");
    assert_int_equal(watch_open(w.store, 1000, NULL, NULL, NULL, &future), 0);
    assert_string_equal(taken(&w, future, 4), "LOST");
    watch_close(slow);
    watch_close(quick);
    watch_close(future);
    /* a restart forgets nothing of this */
    store_close(w.store);
    assert_int_equal(store_open(&o, &w.store, &fault), 0);
    assert_int_equal(watch_open(w.store, 40, NULL, NULL, NULL, &quick), 0);
    assert_string_equal(taken(&w, quick, 4), "41 c,42 d");
    assert_int_equal(watch_open(w.store, 3, NULL, NULL, NULL, &slow), 0);
    assert_string_equal(taken(&w, slow, 4), "LOST");
    watch_close(slow);
    watch_close(quick);
    store_close(w.store);
    arena_free(w.arena);
    folder_remove(dir);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(in_order), T(as_the_closure_wrote_them), T(hosts_are_told), T(wakes_for_its_kinds), T(sleeps_until_told),
        cmocka_unit_test(dropped_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
