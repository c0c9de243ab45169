/* Queries: each operation, orders, pages in both directions. */
#include "things.h"

#include <errno.h>

static int fill(struct txn *t, void *arg)
{
    struct arena *a = txn_arena(t);
    (void)arg;
    /* two nulls in size, ties in project, names that differ in case only */
    struct thing rows[] = {
        { .head.id = "a", .name = "Apple", .code = "1", .project = "p1", .size = 5, .weight = 0.5, .enabled = true,
          .made = 100 },
        { .head.id = "b", .name = "apple", .code = "2", .project = "p1", .size = INT_NULL, .tri = TRI_TRUE, .made = 200 },
        { .head.id = "c", .name = "100%_x", .code = "1", .project = "p2", .size = 3, .enabled = true, .made = 300 },
        { .head.id = "d", .name = "", .project = "p2", .size = 5, .tri = TRI_FALSE },
        { .head.id = "e", .name = "zebra", .project = NULL, .size = INT_NULL, .weight = 2.25, .made = 100 },
        { .head.id = "f", .name = "B\xc3\xa4r", .project = "p1", .size = 3, .enabled = true },
    };
    strv_add(a, &rows[0].tags, "red");
    strv_add(a, &rows[0].tags, "blue");
    strv_add(a, &rows[1].tags, "red");
    strv_add(a, &rows[1].tags, "red");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int r = txn_put(t, &THING, &rows[i]);
        if (r)
            return r;
    }
    return 0;
}

static int setup(void **state)
{
    world_setup(state);
    struct world *w = *state;
    return store_write(w->store, w->arena, fill, NULL);
}

/* 'values' with '|' between them become the list. */
static void check_case(struct world *w, const char *field, enum query_op op, const char *text, const char *values, bool nocase,
                  const char *expected)
{
    struct query q = { .kind = &THING };
    struct condition *c = query_where(&q, w->arena, field, op, text);
    c->nocase = nocase;
    if (values)
        strv_split(w->arena, &c->list, values, "|");
    const char *got = ids_of(w, &q);
    if (!STREQ(got, expected))
        fail_msg("%s op %d '%s' [%s]: %s instead of %s", field, (int)op, text ? text : "-", values ? values : "",
                 got, expected);
}

static void operations(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *field;
        enum query_op op;
        const char *text, *values;
        bool nocase;
        const char *expected;
    } CASES[] = {
        { "id", Q_EQ, "c", NULL, false, "c" },
        { "id", Q_IN, NULL, "f|a|x", false, "a,f" },
        { "name", Q_EQ, "APPLE", NULL, false, "a,b" },
        { "name", Q_EQ, "", NULL, false, "d" },
        { "name", Q_NE, "apple", NULL, false, "c,d,e,f" },
        { "name", Q_NE, "", NULL, false, "a,b,c,e,f" },
        { "name", Q_NULL, NULL, NULL, false, "d" },
        { "name", Q_NOT_NULL, NULL, NULL, false, "a,b,c,e,f" },
        { "name", Q_CONTAINS, "PP", NULL, false, "a,b" },
        { "name", Q_CONTAINS, "%_", NULL, false, "c" },
        { "name", Q_CONTAINS, "%", NULL, false, "c" },
        { "name", Q_CONTAINS, "_", NULL, false, "c" },
        { "name", Q_CONTAINS, "\\", NULL, false, "" },
        { "name", Q_STARTS, "b\xc3\xa4", NULL, false, "f" },
        { "name", Q_ENDS, "LE", NULL, false, "a,b" },
        { "name", Q_REGEX, "^a.*e$", NULL, false, "b" },
        { "name", Q_REGEX, "^a.*e$", NULL, true, "a,b" },
        { "name", Q_REGEX, "(", NULL, false, "" },
        { "name", Q_REGEX, "(a{99}{99}){99}", NULL, false, "" },
        { "name", Q_REGEX, "(a)\\1", NULL, false, "" },
        { "name", Q_REGEX, "^((a|bbbbbbbbbb){1,60}){1,99}", NULL, false, "" },
        { "project", Q_EQ, "P1", NULL, false, "" },
        { "project", Q_EQ, "P1", NULL, true, "a,b,f" },
        { "project", Q_CONTAINS, "1", NULL, false, "a,b,f" },
        { "project", Q_CONTAINS, "P", NULL, false, "" },
        { "project", Q_CONTAINS, "P", NULL, true, "a,b,c,d,f" },
        { "project", Q_STARTS, "p", NULL, false, "a,b,c,d,f" },
        { "project", Q_STARTS, "P", NULL, false, "" },
        { "project", Q_ENDS, "2", NULL, false, "c,d" },
        { "project", Q_ENDS, "xp2", NULL, false, "" },
        { "project", Q_IN, NULL, "p2|none", false, "c,d" },
        { "project", Q_IN, NULL, NULL, false, "" },
        { "project", Q_NOT_IN, NULL, "p2", false, "a,b,e,f" },
        { "project", Q_NOT_IN, NULL, NULL, false, "a,b,c,d,e,f" },
        { "project", Q_GT, "p1", NULL, false, "c,d" },
        { "size", Q_EQ, "5", NULL, false, "a,d" },
        { "size", Q_EQ, "five", NULL, false, "" },
        { "size", Q_NE, "5", NULL, false, "b,c,e,f" },
        { "size", Q_LT, "5", NULL, false, "c,f" },
        { "size", Q_LE, "5", NULL, false, "a,c,d,f" },
        { "size", Q_GT, "3", NULL, false, "a,d" },
        { "size", Q_GE, "3", NULL, false, "a,c,d,f" },
        { "size", Q_NULL, NULL, NULL, false, "b,e" },
        { "size", Q_IN, NULL, "3|x|7", false, "c,f" },
        { "size", Q_NOT_IN, NULL, "3", false, "a,b,d,e" },
        { "weight", Q_GT, "0.5", NULL, false, "e" },
        { "weight", Q_EQ, "2.25", NULL, false, "e" },
        { "enabled", Q_EQ, "true", NULL, false, "a,c,f" },
        { "enabled", Q_EQ, "false", NULL, false, "b,d,e" },
        { "enabled", Q_EQ, "maybe", NULL, false, "" },
        { "tri", Q_EQ, "true", NULL, false, "b" },
        { "tri", Q_EQ, "false", NULL, false, "d" },
        { "tri", Q_NULL, NULL, NULL, false, "a,c,e,f" },
        { "made", Q_GE, "200", NULL, false, "b,c" },
        { "made", Q_NULL, NULL, NULL, false, "d,f" },
        { "tags", Q_KEY, "red", NULL, false, "a,b" },
        { "tags", Q_EQ, "blue", NULL, false, "a" },
        { "tags", Q_KEY, NULL, "blue|green", false, "a" },
        { "tags", Q_NO_KEY, "red", NULL, false, "c,d,e,f" },
        { "tags", Q_NO_KEY, NULL, "blue|green", false, "b,c,d,e,f" },
        { "tags", Q_NULL, NULL, NULL, false, "c,d,e,f" },
        { "tags", Q_NOT_NULL, NULL, NULL, false, "a,b" },
        { "project/code", Q_KEY, "p1/1", NULL, false, "a" },
        { "code", Q_KEY, "1", NULL, false, "a,c" },
        { "revision", Q_GT, "0", NULL, false, "a,b,c,d,e,f" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++)
        check_case(w, CASES[i].field, CASES[i].op, CASES[i].text, CASES[i].values, CASES[i].nocase, CASES[i].expected);
}

static void null_in_lists(void **state)
{
    struct world *w = *state;
    struct query q = { .kind = &THING };
    struct condition *c = query_where(&q, w->arena, "project", Q_IN, NULL);
    strv_add(w->arena, &c->list, "");
    strv_add(w->arena, &c->list, "p2");
    assert_string_equal(ids_of(w, &q), "c,d,e");
    c->op = Q_NOT_IN;
    assert_string_equal(ids_of(w, &q), "a,b,f");
}

static void groups_of_or(void **state)
{
    struct world *w = *state;
    struct query q = { .kind = &THING };
    query_where(&q, w->arena, "size", Q_EQ, "3")->any = 1;
    query_where(&q, w->arena, "project", Q_EQ, "p1")->any = 2;
    query_where(&q, w->arena, "size", Q_NULL, NULL)->any = 1;
    query_where(&q, w->arena, "tags", Q_KEY, "red")->any = 2;
    query_where(&q, w->arena, "id", Q_NE, "f");
    assert_string_equal(ids_of(w, &q), "b");
}

static void unknown_fields_are_refused(void **state)
{
    struct world *w = *state;
    struct query q = { .kind = &THING };
    struct results found;
    int64_t sum;
    _cleanup_(txn_donep) struct txn *t = NULL;
    assert_int_equal(store_read(w->store, w->arena, &t), 0);
    query_where(&q, w->arena, "nonsense", Q_EQ, "3");
    assert_int_equal(txn_list(t, &q, &found), -EINVAL);
    struct query s = { .kind = &THING };
    query_sort(&s, w->arena, "nonsense", false);
    assert_int_equal(txn_list(t, &s, &found), -EINVAL);
    s.sort.n = 0;
    assert_int_equal(txn_sum(t, &s, "nonsense", &sum), -EINVAL);
}

/* Pages of each size, forwards and backwards, give the same list as one of all. */
static void check_pages(struct world *w, struct query *q, const char *expected)
{
    assert_string_equal(ids_of(w, q), expected);
    for (size_t limit = 1; limit <= 7; limit++) {
        const char *marker = NULL, *all = "";
        for (bool more = true; more;) {
            struct query page = *q;
            page.limit = limit;
            page.marker = marker;
            char *got = arena_strdup(w->arena, ids_of(w, &page));
            assert_non_null(got);
            more = str_ends(got, "+");
            if (more)
                got[strlen(got) - 1] = 0;
            all = arena_printf(w->arena, "%s%s%s", str_or(all, ""), *all && *got ? "," : "", str_or(got, ""));
            assert_non_null(all);
            const char *comma = strrchr(got, ',');
            marker = comma ? comma + 1 : got;
        }
        assert_string_equal(all, expected);
        marker = NULL;
        all = "";
        for (bool more = true; more;) {
            struct query page = *q;
            page.limit = limit;
            page.marker = marker;
            page.reverse = true;
            char *got = arena_strdup(w->arena, ids_of(w, &page));
            assert_non_null(got);
            more = str_ends(got, "+");
            if (more)
                got[strlen(got) - 1] = 0;
            all = arena_printf(w->arena, "%s%s%s", str_or(got, ""), *all && *got ? "," : "", str_or(all, ""));
            assert_non_null(all);
            marker = arena_strndup(w->arena, got, strcspn(got, ","));
        }
        assert_string_equal(all, expected);
    }
}

static void pages(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *first, *second;
        bool descending, second_descending;
        const char *expected;
    } CASES[] = {
        { NULL, NULL, false, false, "a,b,c,d,e,f" },
        { "id", NULL, true, false, "f,e,d,c,b,a" },
        { "size", NULL, false, false, "b,e,c,f,a,d" },
        { "size", NULL, true, false, "a,d,c,f,b,e" },
        { "size", "id", true, true, "d,a,f,c,e,b" },
        { "project", "size", false, false, "e,b,f,a,c,d" },
        { "project", "size", true, false, "c,d,b,f,a,e" },
        { "project", "size", false, true, "e,a,f,b,d,c" },
        { "name", NULL, false, false, "d,c,a,b,f,e" },
        { "name", "id", true, true, "e,f,b,a,c,d" },
        { "made", "weight", true, true, "c,b,e,a,d,f" },
        { "weight", "made", false, true, "c,b,d,f,a,e" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct query q = { .kind = &THING };
        if (CASES[i].first)
            query_sort(&q, w->arena, CASES[i].first, CASES[i].descending);
        if (CASES[i].second)
            query_sort(&q, w->arena, CASES[i].second, CASES[i].second_descending);
        check_pages(w, &q, CASES[i].expected);
    }
    struct query q = { .kind = &THING };
    query_where(&q, w->arena, "project", Q_EQ, "p1");
    query_sort(&q, w->arena, "size", true);
    check_pages(w, &q, "a,f,b");
}

static void lost_markers_and_offsets(void **state)
{
    struct world *w = *state;
    struct query q = { .kind = &THING, .marker = "none", .limit = 2 };
    assert_string_equal(ids_of(w, &q), "LOST");
    q.marker = NULL;
    q.offset = 3;
    assert_string_equal(ids_of(w, &q), "d,e+");
    q.limit = 0;
    assert_string_equal(ids_of(w, &q), "d,e,f");
}

static void numbers(void **state)
{
    struct world *w = *state;
    struct query q = { .kind = &THING };
    uint64_t n;
    int64_t sum;
    struct thing *x;
    _cleanup_(txn_donep) struct txn *t = NULL;
    assert_int_equal(store_read(w->store, w->arena, &t), 0);
    assert_int_equal(txn_count(t, &q, &n), 0);
    assert_int_equal(n, 6);
    assert_int_equal(txn_sum(t, &q, "size", &sum), 0);
    assert_int_equal(sum, 16);
    query_where(&q, w->arena, "project", Q_EQ, "p1");
    assert_int_equal(txn_count(t, &q, &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(txn_sum(t, &q, "size", &sum), 0);
    assert_int_equal(sum, 8);
    query_sort(&q, w->arena, "size", true);
    assert_int_equal(txn_find(t, &q, &x), 0);
    assert_string_equal(x->head.id, "a");
    query_where(&q, w->arena, "id", Q_EQ, "none");
    assert_int_equal(txn_sum(t, &q, "size", &sum), 0);
    assert_int_equal(sum, 0);
    assert_int_equal(txn_find(t, &q, &x), 0);
    assert_null(x);
    assert_int_equal(txn_find_by(t, &THING, "name", "ZEBRA", &x), 0);
    assert_string_equal(x->head.id, "e");
    assert_int_equal(txn_find_by(t, &THING, "tags", "blue", &x), 0);
    assert_string_equal(x->head.id, "a");
}

static int put_numbered(struct txn *t, void *arg)
{
    int i = *(int *)arg;
    struct arena *a = txn_arena(t);
    struct thing x = {
        .head.id = arena_printf(a, "%04d", i), .name = "same", .project = arena_printf(a, "p%d", i % 100), .size = i,
    };
    return txn_put(t, &THING, &x);
}

/* After some growth statistics are taken; a reader from before and later ones see the same. */
static void answers_stay_while_statistics_come(void **state)
{
    struct world *w = *state;
    struct query q = { .kind = &THING };
    query_where(&q, w->arena, "name", Q_EQ, "same");
    query_where(&q, w->arena, "project", Q_EQ, "p7");
    query_sort(&q, w->arena, "size", true);
    q.limit = 3;
    const char *last = "";
    _cleanup_(txn_donep) struct txn *t = NULL;
    struct results found;
    uint64_t n;
    assert_int_equal(store_read(w->store, w->arena, &t), 0);
    assert_int_equal(txn_count(t, &q, &n), 0);
    for (int i = 0; i < 1208; i++) {
        assert_int_equal(store_write(w->store, w->arena, put_numbered, &i), 0);
        if (i % 100 == 7)
            last = ids_of(w, &q);
    }
    assert_string_equal(last, "1207,1107,1007+");
    assert_int_equal(txn_list(t, &q, &found), 0);
    assert_int_equal(found.n, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(operations), T(null_in_lists), T(groups_of_or), T(unknown_fields_are_refused), T(pages),
        T(lost_markers_and_offsets), T(numbers), T(answers_stay_while_statistics_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
