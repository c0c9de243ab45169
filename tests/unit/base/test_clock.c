/* Time, ids, and their replacements. */
#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define NOON ((usec_t)1769860800 * 1000000)     /* 2026-01-31T12:00:00Z */

static void formats(void **state)
{
    (void)state;
    char t[TIME_TEXT_SIZE];
    assert_string_equal(time_format(NOON, TIME_ISO_Z, t), "2026-01-31T12:00:00Z");
    assert_string_equal(time_format(NOON + 42, TIME_ISO_MICRO_Z, t), "2026-01-31T12:00:00.000042Z");
    assert_string_equal(time_format(NOON + 999999, TIME_ISO_MICRO, t), "2026-01-31T12:00:00.999999");
    assert_string_equal(time_format(NOON, TIME_ISO, t), "2026-01-31T12:00:00");
    assert_string_equal(time_format(NOON, TIME_HTTP, t), "Sat, 31 Jan 2026 12:00:00 GMT");
    assert_string_equal(time_format(-1, TIME_ISO_MICRO_Z, t), "1969-12-31T23:59:59.999999Z");
    assert_string_equal(time_format(0, TIME_ISO_Z, t), "1970-01-01T00:00:00Z");
}

static void parses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        usec_t expected;
    } GOOD[] = {
        { "2026-01-31T12:00:00Z", NOON },
        { "2026-01-31T12:00:00", NOON },
        { "2026-01-31 12:00:00", NOON },
        { "2026-01-31T12:00Z", NOON },
        { "2026-01-31T12:00:00.5Z", NOON + 500000 },
        { "2026-01-31T12:00:00.0000019", NOON + 1 },
        { "2026-01-31T13:30:00+01:30", NOON },
        { "2026-01-31T13:30:00+0130", NOON },
        { "2026-01-31T11:00:00-01:00", NOON },
        { "2026-01-31", NOON - HOURS(12) },
        { "2024-02-29", (usec_t)1709164800 * 1000000 },
        { "1970-01-01T00:00:00Z", 0 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(GOOD); i++) {
        usec_t t = -1;
        if (time_parse(GOOD[i].text, &t) != 0 || t != GOOD[i].expected)
            fail_msg("%s: %lld", GOOD[i].text, (long long)t);
    }
    static const char *const BAD[] = {
        "", "now", "2026", "2026-1-31", "2026-13-01", "2026-00-01", "2026-02-30", "2026-01-32", "2025-02-29",
        "2026-01-31T", "2026-01-31T24:00:00Z", "2026-01-31T12:60:00Z", "2026-01-31T12:00:61Z", "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00Zx", "2026-01-31T12:00:00+25:00", "2026-01-31T12:00:00+1", " 2026-01-31", "12026-01-31",
    };
    for (size_t i = 0; i < ARRAY_SIZE(BAD); i++) {
        usec_t t = 77;
        if (time_parse(BAD[i], &t) != -EINVAL || t != 77)
            fail_msg("'%s' is taken for a time", BAD[i]);
    }
}

static void there_and_back(void **state)
{
    (void)state;
    for (usec_t t = 1; t < DAYS(365) * 80; t += DAYS(13) + 777777) {
        char text[TIME_TEXT_SIZE];
        usec_t back;
        assert_int_equal(time_parse(time_format(t, TIME_ISO_MICRO_Z, text), &back), 0);
        assert_true(back == t);
    }
}

static void time_stands_still(void **state)
{
    (void)state;
    clock_fake(NOON);
    usec_t mono = clock_mono();
    assert_true(clock_wall() == NOON && clock_mono() == mono);
    clock_advance(MINUTES(5));
    assert_true(clock_wall() == NOON + MINUTES(5) && clock_mono() == mono + SECONDS(300));
    clock_real();
    assert_true(clock_wall() > NOON - DAYS(3650));
    usec_t now = clock_mono();
    assert_true(clock_mono() >= now);
}

static void ids(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    const char *u = uuid_new(a), *h = uuid_hex_new(a);
    assert_true(uuid_valid(u) && uuid_valid(h));
    assert_int_equal(strlen(u), 36);
    assert_int_equal(strlen(h), 32);
    assert_int_equal(u[14], '4');
    assert_non_null(strchr("89ab", u[19]));
    assert_string_not_equal(u, uuid_new(a));
    static const char *const BAD[] = {
        "", "x", "12345678-1234-1234-1234-12345678901", "12345678-1234-1234-1234-1234567890123",
        "12345678x1234-1234-1234-123456789012", "1234567g-1234-1234-1234-123456789012",
        "123456781234123412341234567890-1", "1234567-81234-1234-1234-123456789012",
    };
    assert_false(uuid_valid(NULL));
    for (size_t i = 0; i < ARRAY_SIZE(BAD); i++)
        if (uuid_valid(BAD[i]))
            fail_msg("'%s' is taken for an id", BAD[i]);
    random_fake(7);
    const char *first = uuid_new(a), *second = uuid_new(a);
    random_fake(7);
    assert_string_equal(uuid_new(a), first);
    assert_string_equal(uuid_new(a), second);
    random_fake(0);
    assert_string_not_equal(uuid_new(a), first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats), cmocka_unit_test(parses), cmocka_unit_test(there_and_back),
        cmocka_unit_test(time_stands_still), cmocka_unit_test(ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
