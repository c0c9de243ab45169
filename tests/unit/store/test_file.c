/* The file: upgrades, refusals, copies and checks. */
#include "things.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>

struct note {
    struct object head;
    const char *title, *owner, *color;
    int64_t stars;
    struct strv labels;
};

#define OF(member) offsetof(struct note, member)
static const struct field FIRST_FIELDS[] = {
    FIELD_ID(struct note),
    { "title", FIELD_STRING, OF(title), FILTER },
    { "owner", FIELD_STRING, OF(owner), 0 },
    { "stars", FIELD_INT, OF(stars), 0 },
    { "labels", FIELD_STRINGS, OF(labels), 0 },
};
static SCHEMA(FIRST_SCHEMA, struct note, FIRST_FIELDS);
static const struct field SECOND_FIELDS[] = {
    FIELD_ID(struct note),
    { "title", FIELD_STRING, OF(title), FILTER | SORT | INDEX | SORT_NOCASE },
    { "color", FIELD_STRING, OF(color), FILTER, .otherwise = "green" },
    { "stars", FIELD_INT, OF(stars), FILTER | SORT },
    { "labels", FIELD_STRINGS, OF(labels), INDEX },
};
static SCHEMA(SECOND_SCHEMA, struct note, SECOND_FIELDS);

static void title_key(const void *object, struct key_sink *k)
{
    key_add_unique(k, "title", ((const struct note *)object)->title);
}

static const struct kind FIRST = { .name = "test.note", .schema = &FIRST_SCHEMA };
static const struct kind SECOND = { .name = "test.note", .schema = &SECOND_SCHEMA, .keys = title_key };
static const struct kind GONE = { .name = "test.gone", .schema = &FIRST_SCHEMA };
static const struct kind *const FIRST_KINDS[] = { &FIRST, &GONE, NULL };
static const struct kind *const SECOND_KINDS[] = { &OTHER, &SECOND, NULL };

struct file {
    char *dir, path[256];
    struct arena *arena;
    struct store *store;
    struct fault fault;
};

static int setup(void **state)
{
    struct file *f = calloc(1, sizeof(*f));
    f->dir = folder_new();
    f->arena = arena_new(0);
    (void)snprintf(f->path, sizeof(f->path), "%s/db", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct file *f = *state;
    store_close(f->store);
    arena_free(f->arena);
    folder_remove(f->dir);
    free(f);
    return 0;
}

static int reopen(struct file *f, const struct kind *const *kinds)
{
    store_close(f->store);
    f->store = NULL;
    return store_open(&(struct store_options){ .path = f->path, .kinds = kinds, .relaxed = true }, &f->store, &f->fault);
}

static const struct kind *put_kind = &FIRST;

static int put_note(struct txn *t, void *arg)
{
    return txn_put(t, put_kind, arg);
}

static void put(struct file *f, const struct kind *k, const struct note *x)
{
    put_kind = k;
    assert_int_equal(store_write(f->store, f->arena, put_note, (void *)(uintptr_t)x), 0);
}

static void fill(struct file *f)
{
    struct note a = { .head.id = "a", .title = "Alpha", .owner = "me", .stars = 4 };
    struct note b = { .head.id = "b", .title = "beta", .stars = 2 };
    strv_add(f->arena, &a.labels, "x");
    strv_add(f->arena, &b.labels, "y");
    assert_int_equal(reopen(f, FIRST_KINDS), 0);
    put(f, &FIRST, &a);
    put(f, &FIRST, &b);
    put(f, &GONE, &a);
}

static void new_columns_are_filled(void **state)
{
    struct file *f = *state;
    struct note *x;
    fill(f);
    assert_int_equal(reopen(f, SECOND_KINDS), 0);
    struct txn *t;
    assert_int_equal(store_read(f->store, f->arena, &t), 0);
    assert_int_equal(txn_revision(t), 3);
    assert_int_equal(txn_find_by(t, &SECOND, "stars", "2", &x), 0);
    assert_string_equal(x->head.id, "b");
    assert_int_equal(x->head.revision, 2);
    assert_string_equal(x->color, "green");
    assert_int_equal(txn_find_by(t, &SECOND, "color", "green", &x), 0);
    assert_string_equal(x->head.id, "a");
    assert_int_equal(txn_find_by(t, &SECOND, "labels", "y", &x), 0);
    assert_string_equal(x->head.id, "b");
    struct query q = { .kind = &SECOND };
    query_where(&q, f->arena, "title", Q_KEY, "Alpha");
    assert_int_equal(txn_find(t, &q, &x), 0);
    assert_string_equal(x->head.id, "a");
    txn_done(t);

    /* back again: what the newer one did not know is still there, and the other kind */
    assert_int_equal(reopen(f, FIRST_KINDS), 0);
    assert_int_equal(store_read(f->store, f->arena, &t), 0);
    assert_int_equal(txn_get(t, &FIRST, "a", &x), 0);
    assert_string_equal(x->owner, "me");
    assert_int_equal(txn_get(t, &GONE, "a", &x), 0);
    assert_non_null(x);
    txn_done(t);
    assert_int_equal(store_check(f->store, &f->fault), 0);
}

static void a_null_stays_null(void **state)
{
    struct file *f = *state;
    struct note a = { .head.id = "a", .color = NULL }, *x;
    assert_int_equal(reopen(f, SECOND_KINDS), 0);
    put(f, &SECOND, &a);
    _cleanup_(txn_donep) struct txn *t = NULL;
    assert_int_equal(store_read(f->store, f->arena, &t), 0);
    assert_int_equal(txn_get(t, &SECOND, "a", &x), 0);
    assert_null(x->color);
}

static void keys_in_the_way_are_named(void **state)
{
    struct file *f = *state;
    struct note c = { .head.id = "c", .title = "beta" };
    fill(f);
    put(f, &FIRST, &c);
    assert_int_equal(reopen(f, SECOND_KINDS), FAULT);
    assert_non_null(strstr(f->fault.message, "test.note c"));
    /* nothing was changed */
    assert_int_equal(reopen(f, FIRST_KINDS), 0);
    struct txn *t;
    struct note *x;
    assert_int_equal(store_read(f->store, f->arena, &t), 0);
    assert_int_equal(txn_find_by(t, &FIRST, "title", "beta", &x), 0);
    assert_string_equal(x->head.id, "b");
    txn_done(t);
}

static void sql(struct file *f, const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void close_file(struct file *f)
{
    store_close(f->store);
    f->store = NULL;
}

static void strangers_are_refused(void **state)
{
    struct file *f = *state;
    sql(f, "CREATE TABLE theirs(x)");
    assert_int_equal(reopen(f, FIRST_KINDS), FAULT);
    assert_non_null(strstr(f->fault.message, "not a store of ours"));
    (void)unlink(f->path);
    fill(f);
    close_file(f);
    sql(f, "PRAGMA user_version=99");
    assert_int_equal(reopen(f, FIRST_KINDS), FAULT);
    assert_non_null(strstr(f->fault.message, "newer version"));
    (void)unlink(f->path);
    int fd = open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (int i = 0; i < 512; i++)
        assert_int_equal(write(fd, "this is no database, not at all.", 32), 32);
    close(fd);
    assert_int_equal(reopen(f, FIRST_KINDS), FAULT);
    assert_non_null(strstr(f->fault.message, f->path));
    (void)snprintf(f->path, sizeof(f->path), "%s/no/such/folder", f->dir);
    assert_true(reopen(f, FIRST_KINDS) < 0);
}

static void damage_is_found(void **state)
{
    struct file *f = *state;
    fill(f);
    assert_int_equal(store_check(f->store, &f->fault), 0);
    close_file(f);
    sql(f, "INSERT INTO keys SELECT number, 'lost', 'v', 'nobody', 0 FROM kinds WHERE name='test.note'");
    assert_int_equal(reopen(f, FIRST_KINDS), 0);
    assert_int_equal(store_check(f->store, &f->fault), FAULT);
    assert_non_null(strstr(f->fault.message, "key lost of nobody"));
    close_file(f);
    sql(f, "UPDATE \"test.note\" SET doc='{\"id\":' WHERE id='b'");
    assert_int_equal(reopen(f, FIRST_KINDS), 0);
    struct txn *t;
    struct note *x;
    assert_int_equal(store_read(f->store, f->arena, &t), 0);
    assert_int_equal(txn_get(t, &FIRST, "b", &x), -EUCLEAN);
    txn_done(t);
    /* an upgrade needs the documents */
    assert_int_equal(reopen(f, SECOND_KINDS), FAULT);
    assert_non_null(strstr(f->fault.message, "test.note b"));
    /* pages of nonsense */
    int fd = open(f->path, O_WRONLY | O_CLOEXEC);
    char junk[4096];
    memset(junk, 0x5a, sizeof(junk));
    off_t size = lseek(fd, 0, SEEK_END);
    for (off_t at = 8 * 4096; at + 4096 <= size; at += 4096)
        assert_int_equal(pwrite(fd, junk, sizeof(junk), at), sizeof(junk));
    close(fd);
    int r = reopen(f, FIRST_KINDS);
    if (r == 0)
        r = store_check(f->store, &f->fault);
    assert_int_equal(r, FAULT);
}

static _Atomic bool stop;

static void *write_on(void *arg)
{
    struct file *f = arg;
    struct arena *a = arena_new(0);
    for (int64_t i = 0; !stop || i < 10; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "w%lld", (long long)i % 50);
        struct note x = { .head.id = id, .title = id, .stars = i };
        assert_int_equal(store_write(f->store, a, put_note, &x), 0);
        arena_reset(a);
    }
    arena_free(a);
    return NULL;
}

static void copied_while_writing(void **state)
{
    struct file *f = *state;
    pthread_t thread;
    char path[300];
    fill(f);
    put_kind = &FIRST;
    stop = false;
    assert_int_equal(pthread_create(&thread, NULL, write_on, f), 0);
    for (int i = 0; i < 5; i++) {
        (void)snprintf(path, sizeof(path), "%s/copy", f->dir);
        assert_int_equal(store_backup(f->store, path), 0);
        assert_int_equal(store_backup(f->store, path), -EEXIST);
        struct store *copy;
        struct txn *t;
        struct note *x;
        assert_int_equal(store_open(&(struct store_options){ .path = path, .kinds = FIRST_KINDS, .relaxed = true },
                                    &copy, &f->fault), 0);
        assert_int_equal(store_check(copy, &f->fault), 0);
        assert_int_equal(store_read(copy, f->arena, &t), 0);
        assert_int_equal(txn_get(t, &FIRST, "a", &x), 0);
        assert_string_equal(x->title, "Alpha");
        assert_true(txn_revision(t) >= 3);
        txn_done(t);
        store_close(copy);
        (void)unlink(path);
    }
    stop = true;
    pthread_join(thread, NULL);
    (void)snprintf(path, sizeof(path), "%s/no/such/folder", f->dir);
    assert_int_equal(store_backup(f->store, path), -ENOENT);
}

/* Planning without statistics would walk every note of one color. */
static void statistics_are_kept(void **state)
{
    struct file *f = *state;
    assert_int_equal(reopen(f, SECOND_KINDS), 0);
    for (int i = 0; i < 600; i++) {
        struct note x = { .head.id = arena_printf(f->arena, "n%d", i), .title = arena_printf(f->arena, "t%d", i) };
        put(f, &SECOND, &x);
    }
    close_file(f);
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*), (SELECT value FROM meta WHERE name='analyzed') "
                                            "FROM sqlite_stat1 WHERE tbl='test.note'", -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_true(sqlite3_column_int(stmt, 0) > 0);
    assert_int_equal(sqlite3_column_int(stmt, 1), 500);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    assert_int_equal(reopen(f, SECOND_KINDS), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(new_columns_are_filled), T(a_null_stays_null), T(keys_in_the_way_are_named), T(strangers_are_refused),
        T(damage_is_found), T(copied_while_writing), T(statistics_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
