/* Declarations: requests are read strictly, the error says which key; what is stored reads back. */
#include "base/error.h"
#include "base/field.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct wheel {
    const char *label;
    int64_t size;
};

struct car {
    struct object head;
    const char *name, *color, *cidr, *secret, *raw, *old, *young;
    int64_t seats, doors;
    double weight;
    bool sold;
    int8_t electric;
    usec_t built;
    struct strv owners;
    struct strmap notes;
    struct wheel *spare;
    VEC_OF(struct wheel) wheels;
    const char *draft;
};

static const char *check_slash(const char *s)
{
    return strchr(s, '/') ? NULL : "has no slash";
}

static const struct field WHEEL_FIELDS[] = {
    { "label", FIELD_STRING, offsetof(struct wheel, label), IN_CREATE | IN_UPDATE | REQUIRED, .max = 3 },
    { "size", FIELD_INT, offsetof(struct wheel, size), IN_CREATE | IN_UPDATE, .min = 1, .max = 30, .otherwise = "15" },
};
static SCHEMA(WHEEL_SCHEMA, struct wheel, WHEEL_FIELDS);

#define BOTH (IN_CREATE | IN_UPDATE)
#define OF(member) offsetof(struct car, member)
static const char *const COLORS[] = { "red", "green", NULL };
static const struct field CAR_FIELDS[] = {
    FIELD_ID(struct car),
    { "name", FIELD_STRING, OF(name), BOTH | REQUIRED | NONEMPTY | TRIM, .max = 6 },
    { "color", FIELD_STRING, OF(color), BOTH | NULLABLE, .values = COLORS, .otherwise = "green" },
    { "cidr", FIELD_STRING, OF(cidr), IN_CREATE, .min = 2, .check = check_slash },
    { "secret", FIELD_STRING, OF(secret), BOTH | SECRET, .max = 4 },
    { "seats", FIELD_INT, OF(seats), BOTH | NULLABLE, .min = 1, .max = 9, .otherwise = "4" },
    { "doors", FIELD_INT, OF(doors), BOTH | LOOSE, .min = 0, .max = 5 },
    { "weight", FIELD_DOUBLE, OF(weight), BOTH },
    { "sold", FIELD_BOOL, OF(sold), BOTH },
    { "electric", FIELD_TRI, OF(electric), BOTH | NULLABLE | LOOSE },
    { "built", FIELD_TIME, OF(built), BOTH | NULLABLE },
    { "owners", FIELD_STRINGS, OF(owners), BOTH, .max = 5, .items_max = 3 },
    { "notes", FIELD_MAP, OF(notes), BOTH, .max = 5, .items_max = 2 },
    { "spare", FIELD_OBJECT, OF(spare), BOTH | NULLABLE, .sub = &WHEEL_SCHEMA },
    { "wheels", FIELD_OBJECTS, OF(wheels), BOTH, .sub = &WHEEL_SCHEMA, .items_max = 4 },
    { "raw", FIELD_JSON, OF(raw), BOTH | NULLABLE },
    { "old", FIELD_STRING, OF(old), BOTH, .until = 10 },
    { "young", FIELD_STRING, OF(young), BOTH | OMIT_NULL, .since = 20 },
    { "draft", FIELD_STRING, OF(draft), BOTH | NOT_STORED },
};
static SCHEMA(CAR_SCHEMA, struct car, CAR_FIELDS);

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    return (arena = arena_new(0)) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static int decode(const char *text, enum decode_mode mode, int minor, struct car *out, struct given *given,
                  struct decode_error *e)
{
    char error[200];
    json_t *tree = json_parse(text, strlen(text), error, sizeof(error));
    if (!tree)
        fail_msg("%s: %s", text, error);
    int r = schema_decode(&CAR_SCHEMA, tree, mode, minor, arena, out, given, e);
    json_decref(tree);
    return r;
}

static const char *encode(const struct car *x, struct encode_options opt)
{
    _cleanup_(buf_done) struct buf b = BUF_MAX(1 << 20);
    struct json_out o = JSON_OUT(&b);
    schema_encode(&CAR_SCHEMA, x, &opt, &o);
    assert_int_equal(buf_error(&b), 0);
    return arena_strdup(arena, buf_text(&b));
}

static const char FULL[] =
    "{\"name\":\" Bee \",\"color\":\"red\",\"cidr\":\"a/b\",\"secret\":\"shh\",\"seats\":5,\"doors\":\"3\","
    "\"weight\":1.5,\"sold\":true,\"electric\":\"no\",\"built\":\"2026-01-31T12:00:00Z\",\"owners\":[\"me\",\"you\"],"
    "\"notes\":{\"k\":\"v\"},\"spare\":{\"label\":\"s\"},\"wheels\":[{\"label\":\"a\",\"size\":3},{\"label\":\"b\"}],"
    "\"raw\":{\"x\": [1, null]},\"draft\":\"d\"}";

static void reads_each_type(void **state)
{
    (void)state;
    struct car x = { 0 };
    struct given given;
    struct decode_error e;
    if (decode(FULL, DECODE_CREATE, 0, &x, &given, &e) != 0)
        fail_msg("%s", e.message);
    assert_string_equal(x.name, "Bee");
    assert_string_equal(x.color, "red");
    assert_int_equal(x.seats, 5);
    assert_int_equal(x.doors, 3);
    assert_true(x.weight > 1.4 && x.weight < 1.6);
    assert_true(x.sold);
    assert_int_equal(x.electric, TRI_FALSE);
    assert_int_equal(x.built, (usec_t)1769860800 * 1000000);
    assert_int_equal(x.owners.n, 2);
    assert_string_equal(x.owners.v[1], "you");
    assert_string_equal(strmap_get(&x.notes, "k"), "v");
    assert_string_equal(x.spare->label, "s");
    assert_int_equal(x.spare->size, 15);
    assert_int_equal(x.wheels.n, 2);
    assert_int_equal(x.wheels.v[0].size, 3);
    assert_int_equal(x.wheels.v[1].size, 15);
    assert_string_equal(x.raw, "{\"x\":[1,null]}");
    assert_true(GIVEN(&given, &CAR_SCHEMA, struct car, raw));
    assert_false(GIVEN(&given, &CAR_SCHEMA, struct car, old));

    struct car y = { 0 };
    assert_int_equal(decode("{\"name\":\"n\"}", DECODE_CREATE, 0, &y, NULL, &e), 0);
    assert_string_equal(y.color, "green");
    assert_int_equal(y.seats, 4);
    assert_null(y.cidr);
    /* an update changes what it names, and takes nulls where they may be */
    assert_int_equal(decode("{\"seats\":null,\"color\":null,\"spare\":null,\"built\":null,\"raw\":null,\"electric\":null}",
                            DECODE_UPDATE, 0, &x, &given, &e), 0);
    assert_int_equal(x.seats, INT_NULL);
    assert_null(x.color);
    assert_null(x.spare);
    assert_int_equal(x.built, 0);
    assert_int_equal(x.electric, TRI_NULL);
    assert_string_equal(x.name, "Bee");
    struct car z = { .name = "old", .seats = 1 };
    schema_apply(&CAR_SCHEMA, &given, &x, &z);
    assert_int_equal(z.seats, INT_NULL);
    assert_string_equal(z.name, "old");
}

static void names_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum decode_mode mode;
        enum decode_problem problem;
        const char *path, *value, *part;
    } CASES[] = {
        { "[]", DECODE_CREATE, PROBLEM_TYPE, "", "[]", "object" },
        { "{}", DECODE_CREATE, PROBLEM_REQUIRED, "name", "", "required" },
        { "{\"name\":7}", DECODE_CREATE, PROBLEM_TYPE, "name", "7", "a string" },
        { "{\"name\":null}", DECODE_CREATE, PROBLEM_NULL, "name", "null", "not null" },
        { "{\"name\":\" \"}", DECODE_CREATE, PROBLEM_SHORT, "name", "\" \"", "empty" },
        { "{\"name\":\"1234567\"}", DECODE_UPDATE, PROBLEM_LONG, "name", "\"1234567\"", "6 characters" },
        { "{\"nom\":1}", DECODE_CREATE, PROBLEM_UNKNOWN, "nom", "1", "not known" },
        { "{\"id\":\"x\"}", DECODE_UPDATE, PROBLEM_READ_ONLY, "id", "\"x\"", "can't be given" },
        { "{\"cidr\":\"x/\"}", DECODE_UPDATE, PROBLEM_READ_ONLY, "cidr", "\"x/\"", "can't be given" },
        { "{\"cidr\":\"/\"}", DECODE_CREATE, PROBLEM_SHORT, "cidr", "\"/\"", "shorter than 2" },
        { "{\"cidr\":\"abc\"}", DECODE_CREATE, PROBLEM_FORMAT, "cidr", "\"abc\"", "has no slash" },
        { "{\"color\":\"blue\"}", DECODE_UPDATE, PROBLEM_VALUE, "color", "\"blue\"", "'red', 'green'" },
        { "{\"secret\":\"12345\"}", DECODE_UPDATE, PROBLEM_LONG, "secret", "", "longer" },
        { "{\"seats\":0}", DECODE_UPDATE, PROBLEM_LOW, "seats", "0", "less than 1" },
        { "{\"seats\":10}", DECODE_UPDATE, PROBLEM_HIGH, "seats", "10", "greater than 9" },
        { "{\"seats\":\"5\"}", DECODE_UPDATE, PROBLEM_TYPE, "seats", "\"5\"", "an integer" },
        { "{\"seats\":5.0}", DECODE_UPDATE, PROBLEM_TYPE, "seats", "5.0", "an integer" },
        { "{\"seats\":true}", DECODE_UPDATE, PROBLEM_TYPE, "seats", "true", "an integer" },
        { "{\"doors\":\"x\"}", DECODE_UPDATE, PROBLEM_TYPE, "doors", "\"x\"", "an integer" },
        { "{\"doors\":\" 3\"}", DECODE_UPDATE, PROBLEM_TYPE, "doors", "\" 3\"", "an integer" },
        { "{\"weight\":\"1\"}", DECODE_UPDATE, PROBLEM_TYPE, "weight", "\"1\"", "a number" },
        { "{\"sold\":\"true\"}", DECODE_UPDATE, PROBLEM_TYPE, "sold", "\"true\"", "a boolean" },
        { "{\"electric\":2}", DECODE_UPDATE, PROBLEM_TYPE, "electric", "2", "a boolean" },
        { "{\"built\":\"soon\"}", DECODE_UPDATE, PROBLEM_FORMAT, "built", "\"soon\"", "ISO 8601" },
        { "{\"built\":5}", DECODE_UPDATE, PROBLEM_FORMAT, "built", "5", "ISO 8601" },
        { "{\"owners\":\"me\"}", DECODE_UPDATE, PROBLEM_TYPE, "owners", "\"me\"", "list of strings" },
        { "{\"owners\":[1]}", DECODE_UPDATE, PROBLEM_TYPE, "owners", "1", "list of strings" },
        { "{\"owners\":[\"123456\"]}", DECODE_UPDATE, PROBLEM_LONG, "owners", "\"123456\"", "longer" },
        { "{\"owners\":[\"1\",\"2\",\"3\",\"4\"]}", DECODE_UPDATE, PROBLEM_TOO_MANY, "owners", NULL, "more than 3" },
        { "{\"notes\":{\"a\":1}}", DECODE_UPDATE, PROBLEM_TYPE, "notes", NULL, "object of strings" },
        { "{\"notes\":{\"a\":\"123456\"}}", DECODE_UPDATE, PROBLEM_LONG, "notes", NULL, "longer" },
        { "{\"notes\":{\"a\":\"\",\"b\":\"\",\"c\":\"\"}}", DECODE_UPDATE, PROBLEM_TOO_MANY, "notes", NULL, "more than 2" },
        { "{\"spare\":[]}", DECODE_UPDATE, PROBLEM_TYPE, "spare", "[]", "an object" },
        { "{\"spare\":{\"label\":\"1234\"}}", DECODE_UPDATE, PROBLEM_LONG, "spare.label", "\"1234\"", "longer" },
        { "{\"wheels\":[{\"label\":\"a\"},{\"size\":3,\"label\":\"b\",\"x\":1}]}", DECODE_UPDATE, PROBLEM_UNKNOWN,
          "wheels.1.x", "1", "not known" },
        { "{\"wheels\":[5]}", DECODE_UPDATE, PROBLEM_TYPE, "wheels.0", "5", "an object" },
        { "{\"name\":\"a\\u0000b\"}", DECODE_UPDATE, PROBLEM_FORMAT, "name", NULL, "null character" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct car x = { 0 };
        struct decode_error e = { 0 };
        json_t *tree = json_loads(CASES[i].text, JSON_ALLOW_NUL, NULL);
        assert_non_null(tree);
        int r = schema_decode(&CAR_SCHEMA, tree, CASES[i].mode, 0, arena, &x, NULL, &e);
        json_decref(tree);
        if (r != FAULT || e.problem != CASES[i].problem || !STREQ(e.path, CASES[i].path) ||
            (CASES[i].value && !STREQ(e.value, CASES[i].value)) || !strstr(e.message, CASES[i].part))
            fail_msg("%s: %d, problem %d at '%s', value '%s': %s", CASES[i].text, r, (int)e.problem, e.path, e.value,
                     e.message);
    }
}

static void versions_hide_rows(void **state)
{
    (void)state;
    struct car x = { 0 };
    struct decode_error e;
    assert_int_equal(decode("{\"old\":\"x\"}", DECODE_UPDATE, 10, &x, NULL, &e), 0);
    assert_int_equal(decode("{\"old\":\"x\"}", DECODE_UPDATE, 11, &x, NULL, &e), FAULT);
    assert_int_equal(e.problem, PROBLEM_UNKNOWN);
    assert_int_equal(decode("{\"young\":\"x\"}", DECODE_UPDATE, 19, &x, NULL, &e), FAULT);
    assert_int_equal(decode("{\"young\":\"x\"}", DECODE_UPDATE, 20, &x, NULL, &e), 0);
    struct encode_options opt = { .minor = 15 };
    assert_null(strstr(encode(&x, opt), "\"old\""));
    assert_null(strstr(encode(&x, opt), "\"young\""));
    opt.minor = 20;
    assert_non_null(strstr(encode(&x, opt), "\"young\":\"x\""));
    x.young = NULL;
    assert_null(strstr(encode(&x, opt), "\"young\""));
}

static void renders_for_clients(void **state)
{
    (void)state;
    struct car x = { 0 };
    struct decode_error e;
    assert_int_equal(decode(FULL, DECODE_CREATE, 0, &x, NULL, &e), 0);
    x.head.id = "c1";
    x.seats = INT_NULL;
    assert_string_equal(encode(&x, (struct encode_options){ .time_style = TIME_ISO_Z }),
        "{\"id\":\"c1\",\"name\":\"Bee\",\"color\":\"red\",\"cidr\":\"a/b\",\"seats\":null,\"doors\":3,\"weight\":1.5,"
        "\"sold\":true,\"electric\":false,\"built\":\"2026-01-31T12:00:00Z\",\"owners\":[\"me\",\"you\"],"
        "\"notes\":{\"k\":\"v\"},\"spare\":{\"label\":\"s\",\"size\":15},"
        "\"wheels\":[{\"label\":\"a\",\"size\":3},{\"label\":\"b\",\"size\":15}],\"raw\":{\"x\":[1,null]},"
        "\"old\":null,\"draft\":\"d\"}");
    struct given only = { 0 };
    given_add(&only, 0);
    given_add(&only, 13);       /* rows of a choice are the outer ones */
    assert_string_equal(encode(&x, (struct encode_options){ .only = &only }),
                        "{\"id\":\"c1\",\"spare\":{\"label\":\"s\",\"size\":15}}");
}

static int decode_stored(const char *text, struct car *out)
{
    return schema_read_document(&CAR_SCHEMA, text, strlen(text), arena, out);
}

static void stored_reads_back(void **state)
{
    (void)state;
    struct car x = { 0 }, y = { 0 }, z = { 0 };
    struct decode_error e;
    const struct encode_options stored = { .stored = true };
    assert_int_equal(decode(FULL, DECODE_CREATE, 0, &x, NULL, &e), 0);
    x.head.id = "c1";
    x.name = "q\"\\\n\x01\xc3\xa4\xf0\x9f\x98\x80/";
    strmap_set(arena, &x.notes, "", NULL);
    strv_add(arena, &x.owners, "");
    strv_add(arena, &x.owners, "\t");
    const char *text = encode(&x, stored);
    assert_null(strstr(text, "draft"));
    assert_int_equal(decode_stored(text, &y), 0);
    assert_string_equal(encode(&y, stored), text);
    assert_true(schema_equal(&CAR_SCHEMA, &x, &y));
    assert_string_equal(y.name, x.name);
    assert_int_equal(y.owners.n, 4);
    /* both readers agree */
    assert_int_equal(decode(text, DECODE_STORED, 0, &z, NULL, &e), 0);
    assert_true(schema_equal(&CAR_SCHEMA, &y, &z));
    y.sold = false;
    assert_false(schema_equal(&CAR_SCHEMA, &x, &y));

    struct car nothing = { .seats = INT_NULL, .doors = -5 }, back = { 0 };
    text = encode(&nothing, stored);
    assert_int_equal(decode_stored(text, &back), 0);
    assert_null(back.color);            /* stored as null, not as its default */
    assert_int_equal(back.seats, INT_NULL);
    assert_int_equal(back.doors, -5);
    assert_null(back.spare);
    struct car empty = { 0 };
    assert_int_equal(decode_stored("{}", &empty), 0);
    assert_string_equal(empty.color, "green");      /* older than the row */
    assert_int_equal(empty.seats, 4);
    struct car copy = *(struct car *)schema_copy(&CAR_SCHEMA, &x, arena);
    assert_true(schema_equal(&CAR_SCHEMA, &x, &copy));
    assert_ptr_not_equal(copy.name, x.name);
    assert_ptr_not_equal(copy.wheels.v, x.wheels.v);
}

static void stored_by_others(void **state)
{
    (void)state;
    struct car x = { 0 };
    /* any order, unknown keys of any shape, blanks, escapes in keys, times as text */
    assert_int_equal(decode_stored(
        " { \"unknown\" : {\"a\":[{},[1.5e3,\"]\\\"}\"],null]} , \"sold\" : true , \"raw\" : [1, {\"a\" : \"}\"}] , "
        "\"n\\u0061me\" : \"\\ud83d\\ude00\\u00e4\\/\\b\\f\" , \"seats\" : -3 , \"x\":-1.5, \"y\":false, "
        "\"built\" : \"2026-01-31T12:00:00Z\" , \"wheels\" : [ { \"label\" : \"a\" } , { } ] , \"owners\" : [ ] } ", &x), 0);
    assert_string_equal(x.name, "\xf0\x9f\x98\x80\xc3\xa4/\b\f");
    assert_string_equal(x.raw, "[1, {\"a\" : \"}\"}]");
    assert_true(x.sold);
    assert_int_equal(x.seats, -3);
    assert_int_equal(x.wheels.n, 2);
    assert_string_equal(x.wheels.v[0].label, "a");
    assert_int_equal(x.owners.n, 0);
    static const char *const BAD[] = {
        "", "null", "[]", "{", "{\"", "{\"name\"", "{\"name\":", "{\"name\":\"", "{\"name\":\"x", "{\"name\":\"x\"",
        "{\"name\":\"x\",}", "{\"name\":\"x\"}}", "{\"name\":\"x\"} x", "{\"name\":1}", "{\"name\":\"\\x\"}",
        "{\"name\":\"\\u12\"}", "{\"name\":\"\\ud800\"}", "{\"name\":\"\\ud800\\u0041\"}", "{\"name\":\"\\u0000\"}",
        "{\"seats\":1.5}", "{\"seats\":9223372036854775808}", "{\"seats\":99999999999999999999}", "{\"seats\":\"1\"}",
        "{\"seats\":-}", "{\"sold\":1}", "{\"sold\":tru}", "{\"owners\":{}}", "{\"owners\":[1]}", "{\"owners\":[\"a\"",
        "{\"notes\":[]}", "{\"notes\":{\"a\":1}}", "{\"spare\":[]}", "{\"wheels\":{}}", "{\"wheels\":[1]}",
        "{\"raw\":}", "{\"raw\":[}", "{\"raw\":[1", "{\"u\":}", "{\"u\":]}", "{\"u\":\"\\", "{name:1}", "{\"weight\":x}",
        "{\"built\":\"soon\"}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(BAD); i++) {
        struct car y = { 0 };
        if (decode_stored(BAD[i], &y) != -EUCLEAN)
            fail_msg("'%s' is read", BAD[i]);
    }
    assert_int_equal(decode_stored("{\"seats\":-9223372036854775808}", &x), 0);
    assert_int_equal(x.seats, INT64_MIN);
    _cleanup_(arena_freep) struct arena *small = arena_new(100);
    struct car z = { 0 };
    assert_int_equal(schema_read_document(&CAR_SCHEMA, FULL, strlen(FULL), small, &z), -ENOMEM);
}

/* Damaged at each byte: read or refused, never worse (the sanitizers watch). */
static void stored_and_damaged(void **state)
{
    (void)state;
    struct car x = { 0 };
    struct decode_error e;
    assert_int_equal(decode(FULL, DECODE_CREATE, 0, &x, NULL, &e), 0);
    x.name = "q\"\\\n\x01";
    char *text = arena_strdup(arena, encode(&x, (struct encode_options){ .stored = true }));
    static const char BYTES[] = "\"\\{}[],:0u-e\x80";
    size_t n = strlen(text), good = 0;
    for (size_t i = 0; i < n; i++) {
        char was = text[i];
        for (size_t j = 0; j < sizeof(BYTES); j++) {
            _cleanup_(arena_freep) struct arena *a = arena_new(0);
            struct car y = { 0 };
            text[i] = BYTES[j];
            int r = schema_read_document(&CAR_SCHEMA, text, n, a, &y);
            assert_true(r == 0 || r == -EUCLEAN);
            good += r == 0;
        }
        text[i] = was;
        _cleanup_(freep) char *cut = strndup(text, i);
        struct car y = { 0 };
        assert_int_equal(schema_read_document(&CAR_SCHEMA, cut, i, arena, &y), -EUCLEAN);
    }
    assert_true(good > 0);
}

static void values_from_text(void **state)
{
    (void)state;
    static const struct {
        const char *field, *text;
        int expected;
        const char *encoded;
    } CASES[] = {
        { "name", "abc", 0, "\"abc\"" },
        { "name", "1234567", FAULT, NULL },
        { "name", "\xff", FAULT, NULL },
        { "seats", "7", 0, "7" },
        { "seats", "null", 0, "null" },
        { "seats", "70", FAULT, NULL },
        { "seats", "x", FAULT, NULL },
        { "sold", "yes", 0, "true" },
        { "sold", "off", 0, "false" },
        { "sold", "perhaps", FAULT, NULL },
        { "electric", "1", 0, "true" },
        { "weight", "2.5", 0, "2.5" },
        { "weight", "2.5kg", FAULT, NULL },
        { "owners", "a, b,c", 0, "[\"a\",\"b\",\"c\"]" },
        { "owners", "", 0, "[]" },
        { "owners", "a,b,c,d", FAULT, NULL },
        { "built", "2026-01-31", 0, "\"2026-01-31T00:00:00Z\"" },
        { "notes", "{\"a\":\"b\"}", 0, "{\"a\":\"b\"}" },
        { "notes", "a=b", FAULT, NULL },
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct car x = { 0 };
        struct decode_error e;
        const struct field *f = schema_field(&CAR_SCHEMA, CASES[i].field);
        int r = field_decode_text(f, CASES[i].text, arena, &x, &e);
        if (r != CASES[i].expected)
            fail_msg("%s '%s': %d", CASES[i].field, CASES[i].text, r);
        if (r)
            continue;
        _cleanup_(buf_done) struct buf b = BUF_MAX(1000);
        struct json_out o = JSON_OUT(&b);
        field_encode(f, &x, &(struct encode_options){ .time_style = TIME_ISO_Z }, &o);
        assert_string_equal(buf_text(&b), CASES[i].encoded);
    }
    assert_null(schema_field(&CAR_SCHEMA, "none"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(reads_each_type), T(names_what_is_wrong), T(versions_hide_rows), T(renders_for_clients), T(stored_reads_back),
        T(stored_by_others), T(stored_and_damaged), T(values_from_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
