/* Arenas, buffers, vectors: limits that hold, failures that stick. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/vec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void arena_gives_zeroed_memory(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    char *first = arena_alloc(a, 100);
    memset(first, 0x55, 100);
    arena_reset(a);
    char *again = arena_alloc(a, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(again[i], 0);
    assert_non_null(arena_alloc(a, 0));
    assert_int_equal((uintptr_t)arena_alloc(a, 3) % 16, 0);
    assert_int_equal((uintptr_t)arena_alloc(a, 1) % 16, 0);
}

static void arena_keeps_to_its_limit(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(10000);
    assert_non_null(arena_alloc(a, 9000));
    assert_false(arena_failed(a));
    assert_null(arena_alloc(a, 2000));
    assert_true(arena_failed(a));
    assert_non_null(arena_alloc(a, 16));        /* what fits is still given */
    assert_true(arena_failed(a));
    assert_null(arena_calloc(a, SIZE_MAX / 2, 3));
    assert_null(arena_alloc(a, SIZE_MAX));
    arena_reset(a);
    assert_false(arena_failed(a));
    assert_int_equal(arena_used(a), 0);
    assert_non_null(arena_alloc(a, 9000));
    arena_fail(a);
    assert_true(arena_failed(a));
    arena_free(NULL);
}

static void arena_makes_strings(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    assert_null(arena_strdup(a, NULL));
    assert_null(arena_strndup(a, NULL, 3));
    assert_string_equal(arena_strndup(a, "abcdef", 3), "abc");
    assert_string_equal(arena_strndup(a, "ab", 30), "ab");
    assert_string_equal(arena_printf(a, "%d-%s", 7, "x"), "7-x");
    char *large = arena_printf(a, "%0500d", 7);
    assert_int_equal(strlen(large), 500);
    assert_int_equal(large[499], '7');
    /* many blocks, one larger than any */
    for (int i = 0; i < 1000; i++)
        memset(arena_alloc(a, 3000), i, 3000);
    memset(arena_alloc(a, 5 << 20), 1, 5 << 20);
    assert_string_equal(arena_printf(a, "%s", large), large);
}

static void buf_grows_and_stops(void **state)
{
    (void)state;
    _cleanup_(buf_done) struct buf b = BUF_MAX(1000);
    assert_string_equal(buf_text(&b), "");
    buf_adds(&b, "one");
    buf_addc(&b, ' ');
    buf_printf(&b, "%d", 2);
    buf_adds(&b, NULL);
    assert_string_equal(buf_text(&b), "one 2");
    for (int i = 0; i < 199; i++)
        buf_adds(&b, "12345");
    assert_int_equal(b.len, 1000);
    assert_int_equal(buf_error(&b), 0);
    buf_addc(&b, 'x');
    assert_int_equal(buf_error(&b), -EFBIG);
    buf_adds(&b, "later");
    assert_int_equal(b.len, 1000);
    assert_null(buf_reserve(&b, 1));
    assert_null(buf_take(&b));
    buf_adds(&b, "anew");
    assert_int_equal(buf_error(&b), 0);
    assert_string_equal(buf_text(&b), "anew");
    buf_clear(&b);
    assert_string_equal(buf_text(&b), "");
    buf_adds(&b, "taken");
    _cleanup_(freep) char *text = buf_take(&b);
    assert_string_equal(text, "taken");
    assert_int_equal(b.len, 0);
    _cleanup_(freep) char *none = buf_take(&b);
    assert_string_equal(none, "");
}

static void vectors(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    VEC_OF(int) v = { 0 };
    for (int i = 0; i < 100; i++)
        assert_true(vec_push(a, &v, i));
    assert_int_equal(v.n, 100);
    vec_remove(&v, 0);
    vec_remove(&v, 50);
    vec_remove(&v, 97);
    vec_remove(&v, 97);     /* there is no such element */
    assert_int_equal(v.n, 97);
    int sum = 0;
    VEC_FOREACH(x, &v)
        sum += *x;
    assert_int_equal(sum, 4950 - 0 - 51 - 99);
    VEC_OF(int) none = { 0 };
    VEC_FOREACH(x, &none)
        fail();
    _cleanup_(arena_freep) struct arena *small = arena_new(64);
    bool good = true;
    for (int i = 0; i < 100 && good; i++)
        good = vec_push(small, &none, i);
    assert_false(good);
    assert_true(arena_failed(small));
}

static void string_lists(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct strv l = { 0 };
    assert_true(strv_split(a, &l, ",b, a,,c ", ", "));
    assert_int_equal(l.n, 3);
    strv_sort(&l);
    assert_string_equal(strv_join(a, &l, "+"), "a+b+c");
    assert_true(strv_has(&l, "b"));
    assert_true(strv_drop(&l, "b"));
    assert_false(strv_drop(&l, "b"));
    assert_false(strv_has(&l, "b"));
    assert_string_equal(strv_join(a, &l, ""), "ac");
    struct strv none = { 0 };
    assert_string_equal(strv_join(a, &none, ","), "");
    strv_sort(&none);
}

static void string_maps(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct strmap m = { 0 };
    assert_true(strmap_set(a, &m, "k", "1"));
    assert_true(strmap_set(a, &m, "null", NULL));
    assert_true(strmap_set(a, &m, "k", "2"));
    assert_int_equal(m.n, 2);
    assert_string_equal(strmap_get(&m, "k"), "2");
    assert_null(strmap_get(&m, "null"));
    assert_null(strmap_get(&m, "none"));
    assert_true(strmap_drop(&m, "k"));
    assert_false(strmap_drop(&m, "k"));
    assert_int_equal(m.n, 1);
}

static void macros(void **state)
{
    (void)state;
    assert_true(str_eq(NULL, NULL));
    assert_false(str_eq(NULL, ""));
    assert_true(str_eq("a", "a"));
    assert_true(str_empty(NULL) && str_empty("") && !str_empty("a"));
    assert_true(str_starts("abc", "ab") && !str_starts("a", "ab") && !str_starts(NULL, "a"));
    assert_true(str_ends("abc", "bc") && !str_ends("c", "bc") && !str_ends(NULL, "a"));
    char *p = strdup("x"), *q = TAKE_PTR(p);
    assert_null(p);
    free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_gives_zeroed_memory), cmocka_unit_test(arena_keeps_to_its_limit),
        cmocka_unit_test(arena_makes_strings), cmocka_unit_test(buf_grows_and_stops), cmocka_unit_test(vectors),
        cmocka_unit_test(string_lists), cmocka_unit_test(string_maps), cmocka_unit_test(macros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
