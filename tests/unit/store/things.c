/* The kind of the tests: see the header. */
#include "things.h"

#include <dirent.h>
#include <stdio.h>

static const struct field PART_FIELDS[] = {
    { "label", FIELD_STRING, offsetof(struct part, label), 0 },
    { "count", FIELD_INT, offsetof(struct part, count), 0 },
};
static SCHEMA(PART_SCHEMA, struct part, PART_FIELDS);

static const struct field THING_FIELDS[] = {
    FIELD_ID(struct thing),
    { "name", FIELD_STRING, offsetof(struct thing, name), FILTER | SORT | INDEX | SORT_NOCASE },
    { "host", FIELD_STRING, offsetof(struct thing, host), 0 },
    { "code", FIELD_STRING, offsetof(struct thing, code), FILTER },
    { "project", FIELD_STRING, offsetof(struct thing, project), FILTER | SORT },
    { "size", FIELD_INT, offsetof(struct thing, size), FILTER | SORT },
    { "weight", FIELD_DOUBLE, offsetof(struct thing, weight), FILTER | SORT },
    { "enabled", FIELD_BOOL, offsetof(struct thing, enabled), FILTER },
    { "tri", FIELD_TRI, offsetof(struct thing, tri), FILTER },
    { "made", FIELD_TIME, offsetof(struct thing, made), FILTER | SORT },
    { "tags", FIELD_STRINGS, offsetof(struct thing, tags), FILTER | INDEX },
    { "extra", FIELD_MAP, offsetof(struct thing, extra), 0 },
    { "parts", FIELD_OBJECTS, offsetof(struct thing, parts), 0, .sub = &PART_SCHEMA },
    { "blob", FIELD_JSON, offsetof(struct thing, blob), 0 },
};
SCHEMA(THING_SCHEMA, struct thing, THING_FIELDS);

static void thing_keys(const void *object, struct key_sink *k)
{
    const struct thing *x = object;
    if (!x->code)
        return;
    char text[128];
    (void)snprintf(text, sizeof(text), "%s/%s", str_or(x->project, ""), x->code);
    key_add_unique(k, "project/code", text);
    key_add(k, "code", x->code);
}

static const char *const THING_INDEXES[] = { "project,size", "project,made", NULL };

const struct kind THING = {
    .name = "test.thing", .schema = &THING_SCHEMA, .indexes = THING_INDEXES, .keys = thing_keys,
    .host_field = "host",
};
const struct kind OTHER = { .name = "test.other", .schema = &THING_SCHEMA };
const struct kind *const KINDS[] = { &THING, &OTHER, NULL };

int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct fault fault;
    w->arena = arena_new(0);
    assert_int_equal(store_open(&(struct store_options){ .path = ":memory:", .kinds = KINDS }, &w->store, &fault), 0);
    *state = w;
    return 0;
}

int world_teardown(void **state)
{
    struct world *w = *state;
    store_close(w->store);
    arena_free(w->arena);
    free(w);
    return 0;
}

static int put_one(struct txn *t, void *arg)
{
    return txn_put(t, &THING, arg);
}

int thing_put(struct world *w, const struct thing *x)
{
    return store_write(w->store, w->arena, put_one, (void *)(uintptr_t)x);
}

const char *ids_of(struct world *w, const struct query *q)
{
    _cleanup_(txn_donep) struct txn *t = NULL;
    struct results found;
    assert_int_equal(store_read(w->store, w->arena, &t), 0);
    assert_int_equal(txn_list(t, q, &found), 0);
    if (found.marker_lost)
        return "LOST";
    struct strv ids = { 0 };
    for (size_t i = 0; i < found.n; i++)
        strv_add(w->arena, &ids, ((struct object *)found.v[i])->id);
    return arena_printf(w->arena, "%s%s", strv_join(w->arena, &ids, ","), found.more ? "+" : "");
}

char *folder_new(void)
{
    char *dir = strdup("/tmp/yunduo-test-store-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return dir;
}

void folder_remove(char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[512];
        (void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        (void)unlink(path);
    }
    if (d)
        (void)closedir(d);
    (void)rmdir(dir);
    free(dir);
}
