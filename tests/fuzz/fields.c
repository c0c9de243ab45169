/*
 * Any bytes as a document of the store, and as the body of a request.
 *
 * A document is read or refused. A request that is taken is stored and must read back equal,
 * with the quick reader and with the strict one.
 */
#include "base/field.h"

struct leaf {
    const char *text;
    int64_t n;
};

struct tree {
    struct object head;
    const char *name, *raw;
    int64_t n;
    double d;
    bool b;
    int8_t tri;
    usec_t t;
    struct strv list;
    struct strmap map;
    struct leaf *leaf;
    VEC_OF(struct leaf) leaves;
};

#define BOTH (IN_CREATE | IN_UPDATE | NULLABLE | LOOSE)
static const struct field LEAF_FIELDS[] = {
    { "x", FIELD_STRING, offsetof(struct leaf, text), BOTH },
    { "n", FIELD_INT, offsetof(struct leaf, n), BOTH, .otherwise = "7" },
};
static SCHEMA(LEAF, struct leaf, LEAF_FIELDS);

#define OF(member) offsetof(struct tree, member)
static const struct field TREE_FIELDS[] = {
    FIELD_ID(struct tree),
    { "x", FIELD_STRING, OF(name), BOTH, .max = 40, .otherwise = "y" },
    { "r", FIELD_JSON, OF(raw), BOTH },
    { "n", FIELD_INT, OF(n), BOTH },
    { "d", FIELD_DOUBLE, OF(d), BOTH },
    { "b", FIELD_BOOL, OF(b), BOTH },
    { "q", FIELD_TRI, OF(tri), BOTH },
    { "t", FIELD_TIME, OF(t), BOTH },
    { "l", FIELD_STRINGS, OF(list), BOTH, .items_max = 8 },
    { "m", FIELD_MAP, OF(map), BOTH },
    { "o", FIELD_OBJECT, OF(leaf), BOTH, .sub = &LEAF },
    { "v", FIELD_OBJECTS, OF(leaves), BOTH, .sub = &LEAF },
};
static SCHEMA(TREE, struct tree, TREE_FIELDS);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(const json_t *request, struct arena *a)
{
    struct tree x = { 0 }, y = { 0 }, z = { 0 };
    struct decode_error e;
    char why[200];
    if (schema_decode(&TREE, request, DECODE_CREATE, 0, a, &x, NULL, &e) != 0)
        return;
    _cleanup_(buf_done) struct buf b = BUF_MAX(16 << 20);
    struct json_out o = JSON_OUT(&b);
    schema_encode(&TREE, &x, &(struct encode_options){ .stored = true }, &o);
    if (buf_error(&b))
        return;
    if (schema_read_document(&TREE, buf_text(&b), b.len, a, &y) != 0 || !schema_equal(&TREE, &x, &y))
        abort();
    json_t *stored = json_parse(buf_text(&b), b.len, why, sizeof(why));
    /* Raw JSON may have used up the depth that the parser allows. */
    if (stored && (schema_decode(&TREE, stored, DECODE_STORED, 0, a, &z, NULL, &e) != 0 || !schema_equal(&TREE, &y, &z)))
        abort();
    json_decref(stored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct tree x = { 0 };
    char why[200];
    if (schema_read_document(&TREE, (const char *)data, size, a, &x) == 0 && !schema_equal(&TREE, &x, &x))
        abort();
    json_t *request = json_parse((const char *)data, size, why, sizeof(why));
    if (json_is_object(request))
        check_request(request, a);
    json_decref(request);
    return 0;
}
