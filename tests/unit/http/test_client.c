/* The client against the server of this process: both halves in one test. */
#include "harness.h"

#include "http/client.h"

#include <errno.h>

struct world {
    struct harness h;
    struct http_client *client, *local;
    struct arena *arena;
    char url[128];
    /* what the callbacks of a call saw and do */
    uint64_t left, got;
    int fail;
    char asked[64];
    bool allow;
};

static int setup(void **state)
{
    (void)log_take_warnings();
    struct world *w = calloc(1, sizeof(*w));
    harness_start(&w->h, NULL);
    assert_int_equal(http_client_new(&(struct http_client_options){ .timeout = SECONDS(20) }, &w->client), 0);
    assert_int_equal(http_client_new(&(struct http_client_options){ .unix_path = w->h.unix_path }, &w->local), 0);
    w->arena = arena_new(0);
    (void)snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%u", http_server_port(w->h.server));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    http_client_free(w->client);
    http_client_free(w->local);
    harness_stop(&w->h, SECONDS(10));
    arena_free(w->arena);
    free(w);
    return 0;
}

static int call(struct world *w, const char *path, struct http_call c, struct http_reply *ret)
{
    c.url = arena_printf(w->arena, "%s%s", w->url, path);
    c.arg = w;
    *ret = (struct http_reply){ 0 };
    return http_client_call(w->client, &c, w->arena, ret);
}

static void gets_and_posts(void **state)
{
    struct world *w = *state;
    struct http_reply r;
    _cleanup_(buf_done) struct buf into = BUF_MAX(10000);
    struct http_call c = { .into = &into };
    assert_true(strmap_set(w->arena, &c.headers, "X-Auth-Token", "secret"));
    assert_int_equal(call(w, "/x?a=b", c, &r), 0);
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(buf_text(&into), "method=GET\npath=/x\n"));
    assert_non_null(strstr(buf_text(&into), "X-Auth-Token=secret\n"));
    assert_string_equal(strmap_get(&r.headers, "content-type"), "text/plain");
    assert_true(str_starts(strmap_get(&r.headers, "x-openstack-request-id"), "req-"));

    static const char *const METHODS[] = { "POST", "PUT", "PATCH", "DELETE" };
    for (size_t i = 0; i < ARRAY_SIZE(METHODS); i++) {
        buf_clear(&into);
        c = (struct http_call){ .method = METHODS[i], .into = &into, .body = "hello", .body_size = 5 };
        assert_int_equal(call(w, "/x", c, &r), 0);
        assert_int_equal(r.status, 200);
        assert_true(str_starts(buf_text(&into), arena_printf(w->arena, "method=%s\n", METHODS[i])));
        assert_non_null(strstr(buf_text(&into), "length=5\nbody=hello\n"));
        assert_null(strstr(buf_text(&into), "Content-Type"));
    }
    buf_clear(&into);
    assert_int_equal(call(w, "/x", (struct http_call){ .method = "POST", .into = &into }, &r), 0);
    assert_non_null(strstr(buf_text(&into), "length=0\nbody=\n"));
    assert_int_equal(call(w, "/stream", (struct http_call){ .method = "HEAD" }, &r), 0);
    assert_string_equal(strmap_get(&r.headers, "content-length"), "3000000");
    assert_int_equal(call(w, "/empty", (struct http_call){ .method = "DELETE" }, &r), 0);
    assert_int_equal(r.status, 204);
}

static void goes_over_the_unix_socket(void **state)
{
    struct world *w = *state;
    struct http_reply r;
    _cleanup_(buf_done) struct buf into = BUF_MAX(10000);
    struct http_call c = { .url = "http://yund/x", .into = &into };
    assert_int_equal(http_client_call(w->local, &c, w->arena, &r), 0);
    assert_non_null(strstr(buf_text(&into), "host=yund\npeer=unix\nlocal=1\n"));
}

static ssize_t give(void *arg, char *out, size_t max)
{
    struct world *w = arg;
    if (w->fail && w->left < 5000000)
        return w->fail;
    size_t n = (size_t)MIN((uint64_t)max, w->left);
    memset(out, 1, n);
    w->left -= n;
    return (ssize_t)n;
}

static int take(void *arg, const void *data, size_t n)
{
    struct world *w = arg;
    (void)data;
    w->got += n;
    return w->fail;
}

static void streams_both_ways(void **state)
{
    struct world *w = *state;
    struct http_reply r;
    for (int chunked = 0; chunked < 2; chunked++) {
        w->left = 10000000;
        w->h.sunk = w->h.sunk_sum = 0;
        struct http_call c = { .method = "PUT", .read = give, .body_length = chunked ? -1 : 10000000 };
        assert_int_equal(call(w, "/sink", c, &r), 0);
        assert_int_equal(r.status, 201);
        assert_int_equal(w->h.sunk, 10000000);
        assert_int_equal(w->h.sunk_sum, 10000000);
    }
    assert_int_equal(call(w, "/stream/chunked", (struct http_call){ .write = take }, &r), 0);
    assert_int_equal(w->got, 3000000);

    w->fail = -EDOM;
    assert_int_equal(call(w, "/stream", (struct http_call){ .write = take }, &r), -EDOM);
    w->left = 10000000;
    assert_int_equal(call(w, "/sink", (struct http_call){ .method = "PUT", .read = give, .body_length = 10000000 },
                          &r), -EDOM);
    /* the server's side is told, and takes back what it has */
    harness_wait(&w->h, &w->h.done, 5);
    assert_int_equal(w->h.sink_error, -EPIPE);
}

static void errors_go_to_the_buffer(void **state)
{
    struct world *w = *state;
    struct http_reply r;
    _cleanup_(buf_done) struct buf into = BUF_MAX(100);
    assert_int_equal(call(w, "/refuse", (struct http_call){ .write = take, .into = &into }, &r), 0);
    assert_int_equal(r.status, 401);
    assert_string_equal(buf_text(&into), "no");
    assert_int_equal(w->got, 0);
    buf_clear(&into);
    assert_int_equal(call(w, "/stream", (struct http_call){ .into = &into }, &r), -EFBIG);
}

static void tells_failures_apart(void **state)
{
    struct world *w = *state;
    struct http_reply r;
    struct http_call c = { .url = "http://127.0.0.1:1/" };
    assert_int_equal(http_client_call(w->client, &c, w->arena, &r), -ECONNREFUSED);
    c.url = "ftp://127.0.0.1/";
    assert_int_equal(http_client_call(w->client, &c, w->arena, &r), -EINVAL);
    assert_int_equal(call(w, "/gate", (struct http_call){ .timeout = 50 * USEC_PER_MSEC }, &r), -ETIMEDOUT);
    harness_open_gate(&w->h);
    assert_int_equal(call(w, "/stream/broken", (struct http_call){ .write = take }, &r), -ECONNRESET);
    struct http_call evil = { 0 };
    assert_true(strmap_set(w->arena, &evil.headers, "X-A", "1\r\nX-B: 2"));
    assert_int_equal(call(w, "/x", evil, &r), -EINVAL);
}

static bool ask(void *arg, const char *address)
{
    struct world *w = arg;
    (void)snprintf(w->asked, sizeof(w->asked), "%s", address);
    return w->allow;
}

static void asks_about_addresses(void **state)
{
    struct world *w = *state;
    struct http_reply r;
    /* a kept connection must not help */
    assert_int_equal(call(w, "/x", (struct http_call){ 0 }, &r), 0);
    assert_int_equal(call(w, "/x", (struct http_call){ .allow_address = ask }, &r), -EACCES);
    assert_string_equal(w->asked, "127.0.0.1");
    w->allow = true;
    assert_int_equal(call(w, "/x", (struct http_call){ .allow_address = ask }, &r), 0);
    assert_int_equal(r.status, 200);
    w->allow = false;
    (void)snprintf(w->url, sizeof(w->url), "http://[::ffff:127.0.0.1]:%u", http_server_port(w->h.server));
    assert_int_equal(call(w, "/x", (struct http_call){ .allow_address = ask }, &r), -EACCES);
    assert_string_equal(w->asked, "127.0.0.1");
}

static void *interrupt(void *arg)
{
    struct world *w = arg;
    harness_wait(&w->h, &w->h.handled, 1);
    http_client_interrupt(w->client);
    return NULL;
}

static void is_interrupted(void **state)
{
    struct world *w = *state;
    struct http_reply r;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, interrupt, w), 0);
    assert_int_equal(call(w, "/gate", (struct http_call){ 0 }, &r), -ECANCELED);
    pthread_join(thread, NULL);
    harness_open_gate(&w->h);
    assert_int_equal(call(w, "/x", (struct http_call){ 0 }, &r), 0);
    http_client_interrupt(w->client);
    assert_int_equal(call(w, "/x", (struct http_call){ 0 }, &r), -ECANCELED);
}

int main(void)
{
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(gets_and_posts),
        T(goes_over_the_unix_socket),
        T(streams_both_ways),
        T(errors_go_to_the_buffer),
        T(tells_failures_apart),
        T(asks_about_addresses),
        T(is_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
