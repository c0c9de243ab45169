/* Percent encoding, ranges. */
#include "harness.h"

static void decodes(void **state)
{
    (void)state;
    static const struct {
        const char *in, *path, *query;
    } CASES[] = {
        { "", "", "" },
        { "a%20b+c", "a b+c", "a b c" },
        { "%e4%BD%a0", "\xe4\xbd\xa0", "\xe4\xbd\xa0" },
        { "%", NULL, NULL },
        { "%4", NULL, NULL },
        { "%g0", NULL, NULL },
        { "a%00", NULL, NULL },
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        for (int plus = 0; plus < 2; plus++) {
            char text[64];
            (void)snprintf(text, sizeof(text), "%s", CASES[i].in);
            const char *want = plus ? CASES[i].query : CASES[i].path;
            assert_int_equal(url_decode(text, plus), want != NULL);
            if (want)
                assert_string_equal(text, want);
        }
    }
}

static void encodes(void **state)
{
    (void)state;
    struct buf b = BUF_MAX(100);
    url_encode(&b, "a/b c~%\xff", "/");
    assert_string_equal(buf_text(&b), "a/b%20c~%25%FF");
    buf_clear(&b);
    url_encode(&b, "a/b", NULL);
    assert_string_equal(buf_text(&b), "a%2Fb");
    buf_done(&b);
}

static void ranges(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        uint64_t size;
        int result;
        uint64_t first, length;
    } CASES[] = {
        { "bytes=0-99", 1000, 0, 0, 100 },
        { "bytes=0-0", 1000, 0, 0, 1 },
        { "bytes=999-", 1000, 0, 999, 1 },
        { "bytes=500-5000", 1000, 0, 500, 500 },
        { "bytes=-10", 1000, 0, 990, 10 },
        { "bytes=-5000", 1000, 0, 0, 1000 },
        { "Bytes= 1-2 ", 1000, 0, 1, 2 },
        { "bytes=0-18446744073709551615", 1000, 0, 0, 1000 },
        { "bytes=1000-", 1000, 1, 0, 0 },
        { "bytes=-0", 1000, 1, 0, 0 },
        { "bytes=0-", 0, 1, 0, 0 },
        { "bytes=5-4", 1000, 2, 0, 0 },
        { "bytes=0-1,3-4", 1000, 2, 0, 0 },
        { "bytes=a-", 1000, 2, 0, 0 },
        { "bytes=18446744073709551616-", 1000, 2, 0, 0 },
        { "items=0-1", 1000, 2, 0, 0 },
        { NULL, 1000, 2, 0, 0 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        uint64_t first = 0, length = 0;
        int r = http_range(CASES[i].header, CASES[i].size, &first, &length);
        if (r != CASES[i].result || first != CASES[i].first || length != CASES[i].length)
            fail_msg("%s: %d %llu %llu", str_or(CASES[i].header, "-"), r, (unsigned long long)first,
                     (unsigned long long)length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(decodes), cmocka_unit_test(encodes),
                                        cmocka_unit_test(ranges) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
