/* Transactions: what is written is read back, what refuses leaves nothing. */
#include "things.h"

#include <errno.h>

static struct thing full(struct arena *a)
{
    struct thing x = {
        .head.id = "t1", .name = "Eins", .code = "c1", .project = "p1", .size = 7, .weight = 1.5, .enabled = true,
        .tri = TRI_FALSE, .made = 1234567, .blob = "{\"deep\":[1,2,{\"x\":null}]}",
    };
    strv_add(a, &x.tags, "red");
    strv_add(a, &x.tags, "blue");
    strmap_set(a, &x.extra, "k\"1", "v\n1");
    strmap_set(a, &x.extra, "k2", "");
    (void)vec_push(a, &x.parts, ((struct part){ "one", 1 }));
    (void)vec_push(a, &x.parts, ((struct part){ "tw\xc3\xb6", INT_NULL }));
    return x;
}

static struct thing *get(struct world *w, const char *id)
{
    _cleanup_(txn_donep) struct txn *t = NULL;
    struct thing *x;
    assert_int_equal(store_read(w->store, w->arena, &t), 0);
    assert_int_equal(txn_get(t, &THING, id, &x), 0);
    return x;
}

static void written_is_read(void **state)
{
    struct world *w = *state;
    struct thing x = full(w->arena);
    assert_int_equal(thing_put(w, &x), 0);
    struct thing *y = get(w, "t1");
    assert_non_null(y);
    assert_true(schema_equal(&THING_SCHEMA, &x, y));
    assert_int_equal(y->head.revision, 1);
    assert_null(get(w, "t2"));

    x.size = 8;
    assert_int_equal(thing_put(w, &x), 0);
    y = get(w, "t1");
    assert_int_equal(y->size, 8);
    assert_int_equal(y->head.revision, 2);
}

static void text_is_the_document(void **state)
{
    struct world *w = *state;
    struct thing x = { .head.id = "t1", .name = "n", .size = 3 };
    assert_int_equal(thing_put(w, &x), 0);
    _cleanup_(txn_donep) struct txn *t = NULL;
    const char *text;
    assert_int_equal(store_read(w->store, w->arena, &t), 0);
    assert_int_equal(txn_get_text(t, &THING, "t1", &text), 0);
    char error[100];
    json_t *tree = json_parse(text, strlen(text), error, sizeof(error));
    assert_non_null(tree);
    assert_string_equal(json_get_string(tree, "name"), "n");
    assert_int_equal(json_get_int(tree, "size", 0), 3);
    json_decref(tree);
    assert_int_equal(txn_get_text(t, &THING, "none", &text), 0);
    assert_null(text);
}

static int delete_one(struct txn *t, void *arg)
{
    return txn_delete(t, &THING, arg);
}

static void deleted_is_gone(void **state)
{
    struct world *w = *state;
    struct thing x = full(w->arena), y = x;
    y.head.id = "t2";
    assert_int_equal(thing_put(w, &x), 0);
    assert_int_equal(thing_put(w, &y), TXN_TAKEN);
    assert_null(get(w, "t2"));
    assert_int_equal(store_write(w->store, w->arena, delete_one, (void *)(uintptr_t)"t1"), 0);
    assert_null(get(w, "t1"));
    /* its keys went with it */
    assert_int_equal(thing_put(w, &y), 0);
    assert_int_equal(store_write(w->store, w->arena, delete_one, (void *)(uintptr_t)"t1"), 0);
    _cleanup_(txn_donep) struct txn *t = NULL;
    assert_int_equal(store_read(w->store, w->arena, &t), 0);
    assert_int_equal(txn_revision(t), 3);       /* deleting what is not there changes nothing */
}

static int put_two_and_refuse(struct txn *t, void *arg)
{
    struct thing a = { .head.id = "a", .code = "ca" }, b = { .head.id = "b" };
    struct thing *seen;
    assert_int_equal(txn_put(t, &THING, &a), 0);
    assert_int_equal(txn_put(t, &OTHER, &b), 0);
    /* its own writes are seen */
    assert_int_equal(txn_get(t, &THING, "a", &seen), 0);
    assert_non_null(seen);
    return *(int *)arg;
}

static void refused_leaves_nothing(void **state)
{
    struct world *w = *state;
    int answers[] = { 1, 77, -EPERM };
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        assert_int_equal(store_write(w->store, w->arena, put_two_and_refuse, &answers[i]), answers[i]);
        assert_null(get(w, "a"));
    }
    struct thing other = { .head.id = "o", .code = "ca" };
    assert_int_equal(thing_put(w, &other), 0);  /* the key was not kept either */
    other.head.id = "o2";
    other.code = "cb";
    assert_int_equal(thing_put(w, &other), 0);
    _cleanup_(txn_donep) struct txn *t = NULL;
    assert_int_equal(store_read(w->store, w->arena, &t), 0);
    assert_int_equal(txn_revision(t), 2);
}

static void unique_keys_move(void **state)
{
    struct world *w = *state;
    struct thing a = { .head.id = "a", .code = "x", .project = "p" }, b = { .head.id = "b", .code = "y", .project = "p" };
    assert_int_equal(thing_put(w, &a), 0);
    assert_int_equal(thing_put(w, &b), 0);
    b.code = "x";
    assert_int_equal(thing_put(w, &b), TXN_TAKEN);
    a.code = "z";
    assert_int_equal(thing_put(w, &a), 0);
    assert_int_equal(thing_put(w, &b), 0);
    _cleanup_(txn_donep) struct txn *t = NULL;
    struct thing *found;
    assert_int_equal(store_read(w->store, w->arena, &t), 0);
    assert_int_equal(txn_find_by(t, &THING, "project/code", "p/x", &found), 0);
    assert_string_equal(found->head.id, "b");
    assert_int_equal(txn_find_by(t, &THING, "project/code", "p/y", &found), 0);
    assert_null(found);
}

static int use_up(struct txn *t, void *arg)
{
    struct thing x = { .head.id = "big" };
    (void)arg;
    assert_int_equal(txn_put(t, &THING, &x), 0);
    assert_null(arena_alloc(txn_arena(t), (size_t)1 << 30));
    return 0;
}

static void failed_arena_does_not_commit(void **state)
{
    struct world *w = *state;
    _cleanup_(arena_freep) struct arena *a = arena_new(1 << 20);
    assert_int_equal(store_write(w->store, a, use_up, NULL), -ENOMEM);
    assert_null(get(w, "big"));
}

static void reader_sees_one_state(void **state)
{
    struct world *w = *state;
    struct thing x = { .head.id = "x", .size = 1 }, *seen;
    assert_int_equal(thing_put(w, &x), 0);
    struct txn *t;
    assert_int_equal(store_read(w->store, w->arena, &t), 0);
    assert_int_equal(txn_get(t, &THING, "x", &seen), 0);
    x.size = 2;
    assert_int_equal(thing_put(w, &x), 0);
    assert_int_equal(txn_get(t, &THING, "x", &seen), 0);
    assert_int_equal(seen->size, 1);
    assert_int_equal(txn_revision(t), 1);
    txn_done(t);
    assert_int_equal(get(w, "x")->size, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(written_is_read), T(text_is_the_document), T(deleted_is_gone), T(refused_leaves_nothing),
        T(unique_keys_move), T(failed_arena_does_not_commit), T(reader_sees_one_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
