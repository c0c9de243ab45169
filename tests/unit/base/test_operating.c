/* What operators meet: configuration, log, counters; and the effects that tests make fail. */
#include "base/config.h"
#include "base/counter.h"
#include "base/effect.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

LOG_MODULE("test.operating");
COUNTER(things, "test_things_total", "Things that were counted.");
GAUGE(level, "test_level", "How high it stands.");

struct options {
    const char *listen;
    int64_t workers;
    bool debug;
    struct strv peers;
};

static const struct field OPTION_FIELDS[] = {
    { "listen", FIELD_STRING, offsetof(struct options, listen), 0, .otherwise = "127.0.0.1:80", .doc = "Where to listen." },
    { "workers", FIELD_INT, offsetof(struct options, workers), 0, .min = 1, .max = 64, .otherwise = "4" },
    { "debug", FIELD_BOOL, offsetof(struct options, debug), 0, .otherwise = "false" },
    { "peers", FIELD_STRINGS, offsetof(struct options, peers), 0 },
};
static SCHEMA(OPTIONS, struct options, OPTION_FIELDS);

/* Loads a file of this text; a fault's message loses the path up to the colon. */
static int load(const char *text, struct arena *a, struct options *o, char message[512])
{
    char path[] = "/tmp/yunduo-test-config-XXXXXX";
    struct fault fault = { 0 };
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
    *o = (struct options){ 0 };
    int r = config_load(&OPTIONS, path, false, a, o, &fault);
    (void)unlink(path);
    if (r > 0)
        assert_memory_equal(fault.message, path, strlen(path));
    (void)snprintf(message, 512, "%s", r > 0 ? fault.message + strlen(path) : "");
    return r;
}

static void configuration(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct options o;
    char why[512];
    assert_int_equal(load("", a, &o, why), 0);
    assert_string_equal(o.listen, "127.0.0.1:80");
    assert_int_equal(o.workers, 4);
    assert_int_equal(load("# a comment\n\n  workers =  7 \r\ndebug=yes\npeers = a, b\nlisten = x=y", a, &o, why), 0);
    assert_int_equal(o.workers, 7);
    assert_true(o.debug);
    assert_int_equal(o.peers.n, 2);
    assert_string_equal(o.listen, "x=y");
    static const struct {
        const char *text, *message;
    } BAD[] = {
        { "workers = 1\n\nworker = 2\n", ":3: there is no option 'worker'" },
        { "workers\n", ":1: expected 'key = value'" },
        { "# x\nworkers = many\n", ":2: 'workers' must be an integer" },
        { "workers = 0\n", ":1: 'workers' is less than 1" },
        { "debug = maybe\n", ":1: 'debug' must be a boolean" },
        { "= 3\n", ":1: there is no option ''" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(BAD); i++) {
        assert_int_equal(load(BAD[i].text, a, &o, why), FAULT);
        assert_string_equal(why, BAD[i].message);
    }
    struct fault fault;
    assert_int_equal(config_load(&OPTIONS, "/no/such/file", false, a, &o, &fault), FAULT);
    assert_string_equal(fault.message, "/no/such/file: No such file or directory");
    assert_int_equal(config_load(&OPTIONS, "/no/such/file", true, a, &o, &fault), 0);
    _cleanup_(buf_done) struct buf b = BUF_MAX(4096);
    config_describe(&OPTIONS, &b);
    assert_non_null(strstr(buf_text(&b), "# Where to listen.\n#listen = 127.0.0.1:80\n"));
}

static int saved_stderr, log_pipe[2];

static void log_catch(void)
{
    saved_stderr = dup(STDERR_FILENO);
    assert_int_equal(pipe2(log_pipe, O_CLOEXEC | O_NONBLOCK), 0);
    assert_true(dup2(log_pipe[1], STDERR_FILENO) >= 0);
}

static const char *log_caught(void)
{
    static char text[65536];
    ssize_t n = read(log_pipe[0], text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = 0;
    (void)dup2(saved_stderr, STDERR_FILENO);
    (void)close(saved_stderr);
    (void)close(log_pipe[0]);
    (void)close(log_pipe[1]);
    return text;
}

static void log_lines(void **state)
{
    (void)state;
    clock_fake((usec_t)1769860800 * 1000000);
    (void)log_take_warnings();
    log_catch();
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    log_info("it is so", KV("plain", "a-b"), KV("quoted", "a b\n\"c\""), KV("n", 7), KV("none", (const char *)NULL));
    log_debug("not seen");
    log_set_request_id("req-1");
    log_warning("careful");
    assert_string_equal(log_caught(),
        "2026-01-31T12:00:00.000000Z info    test.operating: it is so plain=a-b quoted=\"a b\\n\\\"c\\\"\" n=7 none=-\n"
        "2026-01-31T12:00:00.000000Z warning test.operating: careful request_id=req-1\n");
    assert_string_equal(log_request_id(), "req-1");
    log_catch();
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
    log_warning("not seen");
    log_error("bad", KV("n", -1), KV("s", "\xff"));
    log_set_request_id(NULL);
    assert_string_equal(log_caught(),
        "{\"time\":\"2026-01-31T12:00:00.000000Z\",\"level\":\"error\",\"module\":\"test.operating\",\"message\":\"bad\","
        "\"request_id\":\"req-1\",\"n\":-1,\"s\":\"\\ufffd\"}\n");
    assert_int_equal(log_take_warnings(), 2);
    assert_int_equal(log_take_warnings(), 0);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    clock_real();
}

static void log_levels(void **state)
{
    (void)state;
    assert_false(log_wanted(&log_module_, LOG_LEVEL_DEBUG));
    assert_int_equal(log_set_levels("warning,test=debug"), 0);
    assert_true(log_wanted(&log_module_, LOG_LEVEL_DEBUG));
    assert_int_equal(log_set_levels("test.operating=error"), 0);
    assert_false(log_wanted(&log_module_, LOG_LEVEL_WARNING));
    assert_int_equal(log_set_levels("test.oper=debug"), 0);     /* no module of this name */
    assert_false(log_wanted(&log_module_, LOG_LEVEL_WARNING));
    assert_int_equal(log_set_levels("loud"), -EINVAL);
    assert_int_equal(log_set_levels("test=info,info"), 0);
}

static void limited_lines(void **state)
{
    (void)state;
    clock_fake(SECONDS(1769860800));
    struct ratelimit limit = RATELIMIT(3, SECONDS(10));
    int passed = 0;
    for (int i = 0; i < 10; i++)
        passed += ratelimit_pass(&limit);
    assert_int_equal(passed, 3);
    clock_advance(SECONDS(11));
    for (int i = 0; i < 10; i++)
        passed += ratelimit_pass(&limit);
    assert_int_equal(passed, 6);
    clock_real();
}

static void counting(void **state)
{
    (void)state;
    counter_inc(&things);
    counter_add(&things, 4);
    counter_set(&level, -3);
    assert_int_equal(counter_read("test_things_total"), 5);
    assert_int_equal(counter_read("test_none"), -1);
    _cleanup_(buf_done) struct buf b = BUF_MAX(65536);
    counters_render(&b);
    assert_non_null(strstr(buf_text(&b), "# HELP yunduo_test_things_total Things that were counted.\n"
                                         "# TYPE yunduo_test_things_total counter\nyunduo_test_things_total 5\n"));
    assert_non_null(strstr(buf_text(&b), "# TYPE yunduo_test_level gauge\nyunduo_test_level -3\n"));
}

static void the_nth_effect_fails(void **state)
{
    (void)state;
    assert_int_equal(effect("any"), 0);
    effect_fail_at(3, -EIO);
    assert_int_equal(effect("one"), 0);
    assert_int_equal(effect("two"), 0);
    assert_false(effect_fired());
    assert_int_equal(effect("three"), -EIO);
    assert_true(effect_fired());
    assert_int_equal(effect("four"), 0);
    effect_fail_at(1, -EIO);
    assert_false(effect_fired());
    effect_fail_at(0, 0);
    assert_int_equal(effect("one"), 0);
}

static void faults(void **state)
{
    (void)state;
    struct fault f;
    assert_int_equal(fault_set(&f, 409, "Conflict", "%s is %d", "it", 7), FAULT);
    assert_int_equal(f.status, 409);
    assert_string_equal(f.type, "Conflict");
    assert_string_equal(f.message, "it is 7");
    assert_int_equal(fault_set(&f, 400, "T", "%02000d", 7), FAULT);
    assert_int_equal(strlen(f.message), sizeof(f.message) - 1);
    assert_int_equal(error_trace(-EIO), -EIO);
    assert_int_equal(error_trace(1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configuration), cmocka_unit_test(log_lines), cmocka_unit_test(log_levels),
        cmocka_unit_test(limited_lines), cmocka_unit_test(counting), cmocka_unit_test(the_nth_effect_fails),
        cmocka_unit_test(faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
