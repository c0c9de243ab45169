/* The JSON writer and the careful parser. */
#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void writes_commas_and_nesting(void **state)
{
    (void)state;
    _cleanup_(buf_done) struct buf b = BUF_MAX(4096);
    struct json_out o = JSON_OUT(&b);
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct strv l = { 0 };
    struct strmap m = { 0 };
    strv_add(a, &l, "x");
    strv_add(a, &l, "y");
    strmap_set(a, &m, "k", "v");
    strmap_set(a, &m, "n", NULL);
    json_open_object(&o);
    json_put_string(&o, "s", "text");
    json_put_string(&o, "null", NULL);
    json_put_int(&o, "i", INT64_MIN);
    json_put_bool(&o, "b", true);
    json_put_null(&o, "z");
    json_put_raw(&o, "raw", "[1, 2]");
    json_put_raw(&o, "noraw", NULL);
    json_put_strings(&o, "l", &l);
    json_put_map(&o, "m", &m);
    json_put_array(&o, "a");
    json_int_out(&o, 1);
    json_open_object(&o);
    json_close_object(&o);
    json_open_array(&o);
    json_close_array(&o);
    json_double_out(&o, 1);
    json_double_out(&o, 0.1);
    json_double_out(&o, 1e300);
    json_double_out(&o, NAN);
    json_double_out(&o, INFINITY);
    json_close_array(&o);
    json_put_object(&o, "o");
    json_close_object(&o);
    json_close_object(&o);
    assert_string_equal(buf_text(&b),
        "{\"s\":\"text\",\"null\":null,\"i\":-9223372036854775808,\"b\":true,\"z\":null,\"raw\":[1, 2],\"noraw\":null,"
        "\"l\":[\"x\",\"y\"],\"m\":{\"k\":\"v\",\"n\":null},"
        "\"a\":[1,{},[],1.0,0.1,1e+300,null,null],\"o\":{}}");
    char error[200];
    json_t *tree = json_parse(buf_text(&b), b.len, error, sizeof(error));
    assert_non_null(tree);
    json_decref(tree);
}

static void check_string(const char *s, const char *expected)
{
    _cleanup_(buf_done) struct buf b = BUF_MAX(4096);
    struct json_out o = JSON_OUT(&b);
    json_string_out(&o, s);
    assert_string_equal(buf_text(&b), expected);
}

static void escapes(void **state)
{
    (void)state;
    check_string("a\"b\\c/d", "\"a\\\"b\\\\c/d\"");
    check_string("\n\r\t\b\x01\x1f\x7f", "\"\\n\\r\\t\\u0008\\u0001\\u001f\\u007f\"");
    check_string("\xc3\xa4\xe4\xba\x91\xf0\x9f\x98\x80", "\"\xc3\xa4\xe4\xba\x91\xf0\x9f\x98\x80\"");
    /* not UTF-8: lone and cut sequences, overlong forms, surrogates, beyond the end */
    check_string("\x80x", "\"\\ufffdx\"");
    check_string("\xc3", "\"\\ufffd\"");
    check_string("\xe4\xba", "\"\\ufffd\\ufffd\"");
    check_string("\xf0\x9f\x98", "\"\\ufffd\\ufffd\\ufffd\"");
    check_string("\xc0\xaf", "\"\\ufffd\\ufffd\"");
    check_string("\xe0\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\"");
    check_string("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"");
    check_string("\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
    check_string("\xff", "\"\\ufffd\"");
}

static void any_bytes_stay_json(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    for (int round = 0; round < 2000; round++) {
        char s[24];
        for (size_t i = 0; i < sizeof(s) - 1; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            s[i] = (char)(x % 255 + 1);
        }
        s[sizeof(s) - 1] = 0;
        _cleanup_(buf_done) struct buf b = BUF_MAX(4096);
        struct json_out o = JSON_OUT(&b);
        json_string_out(&o, s);
        char error[200];
        json_t *tree = json_parse(buf_text(&b), b.len, error, sizeof(error));
        if (!tree)
            fail_msg("%s: %s", buf_text(&b), error);
        json_decref(tree);
    }
}

static void check_refused(const char *text, const char *why)
{
    char error[200];
    json_t *tree = json_parse(text, strlen(text), error, sizeof(error));
    assert_null(tree);
    if (!strstr(error, why))
        fail_msg("'%s' is refused for: %s", text, error);
}

static void parser_refuses(void **state)
{
    (void)state;
    char deep[200];
    memset(deep, '[', sizeof(deep));
    deep[199] = 0;
    check_refused(deep, "nested deeper than 64");
    check_refused("{\"a\":1,\"a\":2}", "duplicate");
    check_refused("{\"a\":1", "line 1");
    check_refused("", "line 1");
    check_refused("{} {}", "end of file");
    check_refused("\"\xff\"", "decode byte");
    check_refused("1e999", "real");
    /* brackets in strings are no nesting */
    char error[200], quoted[300] = "\"";
    memset(quoted + 1, '[', 200);
    (void)snprintf(quoted + 201, 90, "\\\"[[[\"");
    json_t *tree = json_parse(quoted, strlen(quoted), error, sizeof(error));
    assert_non_null(tree);
    json_decref(tree);
}

static void access_is_careful(void **state)
{
    (void)state;
    char error[200];
    const char *text = "{\"s\":\"x\",\"i\":7,\"b\":true,\"o\":{},\"a\":[]}";
    json_t *t = json_parse(text, strlen(text), error, sizeof(error));
    assert_string_equal(json_get_string(t, "s"), "x");
    assert_null(json_get_string(t, "i"));
    assert_null(json_get_string(NULL, "i"));
    assert_int_equal(json_get_int(t, "i", 1), 7);
    assert_int_equal(json_get_int(t, "s", 1), 1);
    assert_true(json_get_bool(t, "b", false));
    assert_true(json_get_bool(t, "none", true));
    assert_non_null(json_get_object(t, "o"));
    assert_null(json_get_object(t, "a"));
    assert_non_null(json_get_array(t, "a"));
    assert_null(json_get_array(t, "o"));
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    assert_string_equal(json_text(a, t), "{\"s\":\"x\",\"i\":7,\"b\":true,\"o\":{},\"a\":[]}");
    json_decref(t);
}

static void failures_stick(void **state)
{
    (void)state;
    _cleanup_(buf_done) struct buf b = BUF_MAX(10);
    struct json_out o = JSON_OUT(&b);
    json_string_out(&o, "much too long for it");
    json_int_out(&o, 1);
    assert_int_equal(buf_error(&b), -EFBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_commas_and_nesting), cmocka_unit_test(escapes), cmocka_unit_test(any_bytes_stay_json),
        cmocka_unit_test(parser_refuses), cmocka_unit_test(access_is_careful), cmocka_unit_test(failures_stick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
