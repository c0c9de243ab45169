/*
 * Image records over HTTP: making, changing, listing, sharing, metadata definitions, schemas.
 */
#include "files.h"
#include "world.h"

#include "image/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>

static struct world *w;

#define PATCH10 "application/openstack-images-v2.1-json-patch"
#define PATCH4 "application/openstack-images-v2.0-json-patch"

static int patch(const char *token, const char *id, const char *type, const char *json)
{
    return world_call(w, token, "PATCH", arena_printf(w->arena, "/image/v2/images/%s", id), type, json,
                      strlen(json));
}

static int show(const char *token, const char *id)
{
    return world_get(w, token, arena_printf(w->arena, "/image/v2/images/%s", id));
}

static int drop(const char *token, const char *path)
{
    return world_call(w, token, "DELETE", path, NULL, NULL, 0);
}

static int drop_image(const char *token, const char *id)
{
    return drop(token, arena_printf(w->arena, "/image/v2/images/%s", id));
}

static size_t list(const char *token, const char *query)
{
    int status = world_get(w, token, arena_printf(w->arena, "/image/v2/images%s", query));
    if (status != 200)
        fail_msg("list %s: %d %s", query, status, buf_text(&w->body));
    return json_array_size(json_get_array(w->json, "images"));
}

static void life(void **state)
{
    (void)state;
    const char *id =
        world_image(w, ALICE, "{\"name\":\"one\",\"tags\":[\"b\",\"a\",\"b\"],\"hw_disk_bus\":\"scsi\"}");
    assert_string_equal(world_text(w, "status"), "queued");
    assert_string_equal(world_text(w, "visibility"), "shared");
    assert_string_equal(world_text(w, "owner"), "p-alice");
    assert_string_equal(world_text(w, "hw_disk_bus"), "scsi");
    assert_int_equal(json_array_size(json_get_array(w->json, "tags")), 2);
    assert_true(json_is_null(json_object_get(w->json, "size")));
    assert_non_null(strmap_get(&w->reply.headers, "openstack-image-import-methods"));
    assert_int_equal(show(ALICE, id), 200);
    assert_int_equal(show(BOB, id), 404);
    assert_int_equal(show(ADMIN, id), 200);
    assert_int_equal(show(NULL, id), 401);
    assert_int_equal(drop_image(BOB, id), 404);
    assert_int_equal(drop_image(ALICE, id), 204);
    assert_int_equal(show(ALICE, id), 404);
    assert_int_equal(drop_image(ALICE, id), 404);
    assert_int_equal(world_get(w, ALICE, "/image/v2/images/"), 404);
    assert_int_equal(drop(ALICE, "/image/v2/images/"), 404);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int status;
    } CASES[] = {
        { "{\"container_format\":\"wrong\"}", 400 },
        { "{\"disk_format\":\"wrong\"}", 400 },
        { "{\"visibility\":\"nobody\"}", 400 },
        { "{\"visibility\":\"public\"}", 403 },
        { "{\"owner\":\"p-bob\"}", 403 },
        { "{\"os_glance_x\":\"y\"}", 403 },
        { "{\"size\":3}", 403 },
        { "{\"status\":\"active\"}", 403 },
        { "{\"min_disk\":-1}", 400 },
        { "{\"min_disk\":\"1\"}", 400 },
        { "{\"name\":5}", 400 },
        { "{\"my\":5}", 400 },
        { "{\"id\":\"x\"}", 400 },
        { "[]", 400 },
        { "{", 400 },
    };
    for (size_t k = 0; k < ARRAY_SIZE(CASES); k++) {
        int status = world_post(w, ALICE, "/image/v2/images", CASES[k].body);
        if (status != CASES[k].status)
            fail_msg("%s: %d %s", CASES[k].body, status, buf_text(&w->body));
    }
    const char *id = world_image(w, ADMIN, "{\"visibility\":\"public\",\"owner\":\"p-x\"}");
    assert_string_equal(world_text(w, "owner"), "p-x");
    assert_int_equal(world_post(w, ADMIN, "/image/v2/images", arena_printf(w->arena, "{\"id\":\"%s\"}", id)),
                     409);
    assert_int_equal(show(BOB, id), 200);
    assert_int_equal(drop_image(BOB, id), 403);
    assert_int_equal(drop_image(ADMIN, id), 204);
}

static void patches(void **state)
{
    (void)state;
    const char *id = world_image(w, ALICE, "{\"name\":\"p\",\"a/b\":\"1\"}");
    assert_int_equal(patch(ALICE, id, "application/json", "[]"), 415);
    assert_int_equal(
        patch(ALICE, id, PATCH10,
              "[{\"op\":\"replace\",\"path\":\"/name\",\"value\":\"q\"},"
              "{\"op\":\"add\",\"path\":\"/x\",\"value\":\"1\"},{\"op\":\"remove\",\"path\":\"/a~1b\"}]"),
        200);
    assert_string_equal(world_text(w, "name"), "q");
    assert_string_equal(world_text(w, "x"), "1");
    assert_null(world_text(w, "a/b"));
    assert_int_equal(patch(ALICE, id, PATCH4, "[{\"replace\":\"/x\",\"value\":\"2\"}]"), 200);
    assert_int_equal(patch(ALICE, id, PATCH4, "[{\"add\":\"/x\",\"value\":\"2\"}]"), 409);
    assert_int_equal(patch(ALICE, id, PATCH10, "[{\"op\":\"replace\",\"path\":\"/none\",\"value\":\"2\"}]"),
                     409);
    assert_int_equal(patch(ALICE, id, PATCH10, "[{\"op\":\"remove\",\"path\":\"/name\"}]"), 403);
    assert_int_equal(
        patch(ALICE, id, PATCH10, "[{\"op\":\"replace\",\"path\":\"/status\",\"value\":\"active\"}]"), 403);
    assert_int_equal(
        patch(ALICE, id, PATCH10, "[{\"op\":\"add\",\"path\":\"/os_glance_foo\",\"value\":\"2\"}]"), 403);
    assert_int_equal(
        patch(ALICE, id, PATCH10, "[{\"op\":\"replace\",\"path\":\"/owner\",\"value\":\"p-bob\"}]"), 403);
    assert_int_equal(
        patch(ALICE, id, PATCH10, "[{\"op\":\"replace\",\"path\":\"/visibility\",\"value\":\"public\"}]"),
        403);
    assert_int_equal(patch(ALICE, id, PATCH10,
                           "[{\"op\":\"add\",\"path\":\"/locations/-\",\"value\":"
                           "{\"url\":\"http://x/\",\"metadata\":{}}}]"),
                     403);
    assert_int_equal(patch(ALICE, id, PATCH10, "[{\"op\":\"jump\",\"path\":\"/x\"}]"), 400);
    assert_int_equal(patch(ALICE, id, PATCH10, "[{\"op\":\"add\",\"path\":\"x\",\"value\":\"\"}]"), 400);
    assert_int_equal(patch(ALICE, id, PATCH10, "[{\"op\":\"add\",\"path\":\"/x/y\",\"value\":\"\"}]"), 400);
    assert_int_equal(patch(ALICE, id, PATCH10, "[{\"op\":\"add\",\"path\":\"/x~2\",\"value\":\"\"}]"), 400);
    assert_int_equal(patch(ALICE, id, PATCH10, "{}"), 400);
    /* All or nothing. */
    assert_int_equal(patch(ALICE, id, PATCH10,
                           "[{\"op\":\"add\",\"path\":\"/x\",\"value\":\"9\"},"
                           "{\"op\":\"replace\",\"path\":\"/none\",\"value\":\"2\"}]"),
                     409);
    assert_int_equal(show(ALICE, id), 200);
    assert_string_equal(world_text(w, "x"), "2");
    assert_int_equal(
        patch(ALICE, id, PATCH10, "[{\"op\":\"replace\",\"path\":\"/protected\",\"value\":true}]"), 200);
    assert_int_equal(drop_image(ALICE, id), 403);
    assert_int_equal(patch(ADMIN, id, PATCH10,
                           "[{\"op\":\"replace\",\"path\":\"/protected\",\"value\":false},"
                           "{\"op\":\"replace\",\"path\":\"/owner\",\"value\":\"p-bob\"}]"),
                     200);
    assert_int_equal(show(ALICE, id), 404);
    assert_int_equal(drop_image(BOB, id), 204);
}

static void sharing(void **state)
{
    (void)state;
    const char *id = world_image(w, ALICE, "{\"name\":\"shared one\"}");
    const char *members = arena_printf(w->arena, "/image/v2/images/%s/members", id);
    const char *bob = arena_printf(w->arena, "%s/p-bob", members);
    size_t before = list(BOB, "");
    assert_int_equal(world_post(w, BOB, members, "{\"member\":\"p-bob\"}"), 404);
    assert_int_equal(world_post(w, ALICE, members, "{}"), 400);
    assert_int_equal(world_post(w, ALICE, members, "{\"member\":\"p-bob\"}"), 200);
    assert_string_equal(world_text(w, "status"), "pending");
    assert_string_equal(world_text(w, "image_id"), id);
    assert_int_equal(world_post(w, ALICE, members, "{\"member\":\"p-bob\"}"), 409);
    assert_int_equal(list(BOB, ""), before);
    assert_int_equal(list(BOB, "?visibility=shared&member_status=pending"), 1);
    assert_int_equal(world_call(w, ALICE, "PUT", bob, NULL, "{\"status\":\"accepted\"}", 21), 403);
    assert_int_equal(world_call(w, BOB, "PUT", bob, NULL, "{\"status\":\"whatever\"}", 21), 400);
    assert_int_equal(world_call(w, BOB, "PUT", bob, NULL, "{\"status\":\"accepted\"}", 21), 200);
    assert_int_equal(list(BOB, ""), before + 1);
    assert_int_equal(show(BOB, id), 200);
    assert_int_equal(patch(BOB, id, PATCH10, "[{\"op\":\"add\",\"path\":\"/x\",\"value\":\"9\"}]"), 403);
    assert_int_equal(world_get(w, BOB, bob), 200);
    assert_int_equal(drop(BOB, bob), 403);
    assert_int_equal(drop(ALICE, bob), 204);
    assert_int_equal(drop(ALICE, bob), 404);
    assert_int_equal(show(BOB, id), 404);
    assert_int_equal(
        patch(ALICE, id, PATCH10, "[{\"op\":\"replace\",\"path\":\"/visibility\",\"value\":\"private\"}]"),
        200);
    assert_int_equal(world_post(w, ALICE, members, "{\"member\":\"p-bob\"}"), 403);
    /* A community image is found by who knows it, and listed when asked for. */
    assert_int_equal(
        patch(ALICE, id, PATCH10, "[{\"op\":\"replace\",\"path\":\"/visibility\",\"value\":\"community\"}]"),
        200);
    assert_int_equal(list(BOB, ""), before);
    assert_int_equal(list(BOB, "?visibility=community"), 1);
    assert_int_equal(show(BOB, id), 200);
    assert_int_equal(drop_image(ALICE, id), 204);
}

static void lists(void **state)
{
    (void)state;
    const char *ids[5];
    for (int k = 0; k < 5; k++)
        ids[k] =
            world_image(w, ALICE,
                        arena_printf(w->arena,
                                     "{\"name\":\"n%d\",\"disk_format\":\"%s\",\"tags\":"
                                     "[\"t%d\"],\"color\":\"c%d\",\"min_ram\":%d,\"os_hidden\":%s}",
                                     k, k % 2 ? "raw" : "qcow2", k, k % 2, k, k == 4 ? "true" : "false"));
    assert_int_equal(list(ALICE, ""), 4);
    assert_int_equal(list(ALICE, "?os_hidden=true"), 1);
    assert_int_equal(list(ALICE, "?disk_format=raw"), 2);
    assert_int_equal(list(ALICE, "?disk_format=in:raw,vdi"), 2);
    assert_int_equal(list(ALICE, "?name=in:n1,%22n2%22,n9"), 2);
    assert_int_equal(list(ALICE, "?tag=t3"), 1);
    assert_int_equal(list(ALICE, "?tag=t3&tag=t2"), 0);
    assert_int_equal(list(ALICE, "?color=c1"), 2);
    assert_int_equal(list(ALICE, "?min_ram_min=2"), 2);
    assert_int_equal(list(ALICE, "?owner=p-bob"), 0);
    assert_int_equal(list(ALICE, "?created_at=gt:2001-01-01T00:00:00Z"), 4);
    assert_int_equal(list(ALICE, "?created_at=lt:2001-01-01T00:00:00Z"), 0);
    assert_int_equal(list(ALICE, "?limit=0"), 0);
    assert_int_equal(list(ALICE, "?sort=name:asc&limit=3"), 3);
    assert_string_equal(json_get_string(json_array_get(json_get_array(w->json, "images"), 0), "name"), "n0");
    const char *next = arena_strdup(w->arena, world_text(w, "next"));
    assert_non_null(next);
    assert_int_equal(world_get(w, ALICE, arena_printf(w->arena, "/image%s", next)), 200);
    assert_int_equal(json_array_size(json_get_array(w->json, "images")), 1);
    assert_null(world_text(w, "next"));
    static const char *const BAD[] = { "?limit=-1",       "?limit=x",         "?sort_key=blob",
                                       "?sort_dir=up",    "?visibility=x",    "?member_status=x",
                                       "?os_hidden=x",    "?protected=x",     "?created_at=x",
                                       "?size_min=x",     "?changes-since=x", "?sort=name&sort_key=name",
                                       "?marker=nothing", "?status=xx:y" };
    for (size_t k = 0; k < ARRAY_SIZE(BAD); k++)
        if (world_get(w, ALICE, arena_printf(w->arena, "/image/v2/images%s", BAD[k])) != 400)
            fail_msg("%s: %d", BAD[k], w->reply.status);
    for (int k = 0; k < 5; k++)
        assert_int_equal(drop_image(ALICE, ids[k]), 204);
}

static void tags(void **state)
{
    (void)state;
    const char *id = world_image(w, ALICE, "{}");
    const char *tag = arena_printf(w->arena, "/image/v2/images/%s/tags/a%%20b", id);
    assert_int_equal(world_call(w, ALICE, "PUT", tag, NULL, NULL, 0), 204);
    assert_int_equal(world_call(w, ALICE, "PUT", tag, NULL, NULL, 0), 204);
    assert_int_equal(show(ALICE, id), 200);
    assert_int_equal(json_array_size(json_get_array(w->json, "tags")), 1);
    assert_int_equal(drop(ALICE, tag), 204);
    assert_int_equal(drop(ALICE, tag), 404);
    assert_int_equal(drop_image(ALICE, id), 204);
}

static void schemas(void **state)
{
    (void)state;
    static const char *const NAMES[] = { "image",
                                         "images",
                                         "member",
                                         "members",
                                         "task",
                                         "tasks",
                                         "metadefs/namespace",
                                         "metadefs/namespaces",
                                         "metadefs/property",
                                         "metadefs/properties",
                                         "metadefs/object",
                                         "metadefs/objects",
                                         "metadefs/tag",
                                         "metadefs/tags",
                                         "metadefs/resource_type",
                                         "metadefs/resource_types" };
    for (size_t k = 0; k < ARRAY_SIZE(NAMES); k++) {
        if (world_get(w, ALICE, arena_printf(w->arena, "/image/v2/schemas/%s", NAMES[k])) != 200)
            fail_msg("%s: %d", NAMES[k], w->reply.status);
        assert_non_null(json_get_object(w->json, "properties"));
    }
    assert_int_equal(world_get(w, ALICE, "/image/v2/schemas/none"), 404);
    assert_int_equal(world_get(w, NULL, "/image/versions"), 200);
    assert_int_equal(world_get(w, NULL, "/image/"), 300);
    assert_int_equal(world_get(w, NULL, "/image/v2"), 300);
    assert_int_equal(world_get(w, ALICE, "/image/v2/info/import"), 200);
    assert_int_equal(world_get(w, ALICE, "/image/v2/info/stores"), 200);
    assert_int_equal(world_get(w, ALICE, "/image/v2/info/stores/detail"), 403);
    assert_int_equal(world_get(w, ADMIN, "/image/v2/info/stores/detail"), 200);
    assert_int_equal(world_get(w, ALICE, "/image/v2/tasks"), 403);
    assert_int_equal(world_get(w, ADMIN, "/image/v2/tasks"), 200);
}

#define NS "/image/v2/metadefs/namespaces"
static void metadefs(void **state)
{
    (void)state;
    assert_int_equal(world_post(w, ALICE, NS, "{\"namespace\":\"x\"}"), 403);
    assert_int_equal(world_post(w, ADMIN, NS, "{}"), 400);
    assert_int_equal(
        world_post(w, ADMIN, NS,
                   "{\"namespace\":\"x\",\"visibility\":\"public\",\"protected\":true,"
                   "\"resource_type_associations\":[{\"name\":\"OS::Nova::Flavor\",\"prefix\":\"hw:\"}]}"),
        201);
    assert_int_equal(world_post(w, ADMIN, NS, "{\"namespace\":\"x\"}"), 409);
    assert_int_equal(world_post(w, ADMIN, NS "/x/objects", "{\"name\":\"o\",\"description\":\"d\"}"), 201);
    assert_string_equal(world_text(w, "description"), "d");
    assert_int_equal(world_post(w, ADMIN, NS "/x/objects", "{\"name\":\"o\"}"), 409);
    assert_int_equal(world_post(w, ADMIN, NS "/x/properties", "{\"name\":\"p\",\"type\":\"string\"}"), 400);
    assert_int_equal(world_post(w, ADMIN, NS "/x/properties",
                                "{\"name\":\"p\",\"type\":\"string\",\"title\":\"P\",\"enum\":[\"a\"]}"),
                     201);
    assert_int_equal(world_post(w, ADMIN, NS "/x/tags", "{\"tags\":[{\"name\":\"a\"},{\"name\":\"b\"}]}"),
                     201);
    assert_int_equal(world_post(w, ADMIN, NS "/x/tags/c", "{}"), 201);
    assert_int_equal(world_get(w, ALICE, NS "/x/tags"), 200);
    assert_int_equal(json_array_size(json_get_array(w->json, "tags")), 3);
    assert_int_equal(world_call(w, ADMIN, "PUT", NS "/x/tags/c", NULL, "{\"name\":\"d\"}", 12), 200);
    assert_int_equal(world_get(w, ALICE, NS "/x/tags/c"), 404);
    assert_int_equal(world_get(w, ALICE, NS "/x/properties/p"), 200);
    assert_string_equal(world_text(w, "name"), "p");
    assert_int_equal(world_get(w, ALICE, NS "/x/properties"), 200);
    assert_non_null(json_get_object(json_get_object(w->json, "properties"), "p"));
    assert_int_equal(world_get(w, ALICE, NS "/x/resource_types"), 200);
    assert_int_equal(world_get(w, ALICE, NS "?resource_types=OS::Nova::Flavor,none"), 200);
    assert_int_equal(json_array_size(json_get_array(w->json, "namespaces")), 1);
    assert_int_equal(world_get(w, ALICE, NS "?resource_types=none"), 200);
    assert_int_equal(json_array_size(json_get_array(w->json, "namespaces")), 0);
    assert_int_equal(drop(ADMIN, NS "/x"), 403);
    const char *off = "{\"namespace\":\"x\",\"visibility\":\"private\",\"protected\":false}";
    assert_int_equal(world_call(w, ADMIN, "PUT", NS "/x", NULL, off, strlen(off)), 200);
    assert_int_equal(world_get(w, ALICE, NS "/x"), 404);
    assert_int_equal(drop(ADMIN, NS "/x/objects/o"), 204);
    assert_int_equal(drop(ADMIN, NS "/x/objects"), 204);
    assert_int_equal(drop(ADMIN, NS "/x"), 204);
    assert_int_equal(world_get(w, ADMIN, NS "/x"), 404);
    assert_int_equal(world_get(w, ALICE, "/image/v2/metadefs/resource_types"), 200);
}

/* What other services call. */
static const char *outside_id;

static int outside_write(struct txn *t, void *arg)
{
    (void)arg;
    struct fault f = {};
    struct image_view *v;
    struct strmap set = {};
    strmap_set(txn_arena(t), &set, "a", "1");
    strmap_set(txn_arena(t), &set, "b", "2");
    assert_int_equal(image_set_properties(t, "p-bob", false, outside_id, &set, false, &v, &f), FAULT);
    assert_int_equal(f.status, 404);
    assert_int_equal(image_set_properties(t, "p-alice", false, outside_id, &set, true, &v, &f), 0);
    assert_int_equal(v->properties.n, 2);
    struct strmap drop_one = {};
    vec_push(txn_arena(t), &drop_one, ((struct pair){ "a", NULL }));
    assert_int_equal(image_set_properties(t, "p-alice", false, outside_id, &drop_one, false, &v, &f), 0);
    assert_int_equal(v->properties.n, 1);
    strmap_set(txn_arena(t), &set, "name", "x");
    assert_int_equal(image_set_properties(t, "p-alice", false, outside_id, &set, false, &v, &f), FAULT);
    struct image_filter filter = { .name = "out", .limit = 10 };
    struct image_views l = {}, none = {};
    strv_add(txn_arena(t), &filter.statuses, "queued");
    strmap_set(txn_arena(t), &filter.properties, "b", "2");
    assert_int_equal(image_list(t, "p-alice", false, &filter, &l), 0);
    assert_int_equal(l.list.n, 1);
    assert_int_equal(image_list(t, "p-bob", false, &filter, &none), 0);
    assert_int_equal(none.list.n, 0);
    return 0;
}

static void outside(void **state)
{
    (void)state;
    outside_id = world_image(w, ALICE, "{\"name\":\"out\",\"visibility\":\"private\"}");
    assert_int_equal(store_write(w->store, w->arena, outside_write, NULL), 0);
    struct fault f = {};
    assert_int_equal(image_delete(w->api, w->arena, "p-bob", false, outside_id, &f), FAULT);
    assert_int_equal(f.status, 404);
    assert_int_equal(image_delete(w->api, w->arena, "p-alice", false, outside_id, &f), 0);
    assert_int_equal(show(ALICE, outside_id), 404);
}

static int begin(void **state)
{
    (void)state;
    w = world_new("images", NULL);
    return 0;
}

static int end(void **state)
{
    (void)state;
    world_free(w);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(life),    cmocka_unit_test(refusals), cmocka_unit_test(patches),
        cmocka_unit_test(sharing), cmocka_unit_test(lists),    cmocka_unit_test(tags),
        cmocka_unit_test(schemas), cmocka_unit_test(metadefs), cmocka_unit_test(outside),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
