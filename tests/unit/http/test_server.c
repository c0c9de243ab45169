/* The server through bare sockets: answers, bodies, connections that live on. */
#include "harness.h"

#include <sys/socket.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static int setup(void **state)
{
    (void)log_take_warnings();
    struct harness *h = calloc(1, sizeof(*h));
    harness_start(h, NULL);
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    harness_stop(*state, SECONDS(10));
    free(*state);
    return 0;
}

static void answers_inline_and_on_worker(void **state)
{
    static const char *const REQUESTS[] = { GET("/inline/a%20b?x=1&y=%41+c&x=2&flag"),
                                            GET("/other/a%20b?x=1&y=%41+c&x=2&flag") };
    for (size_t i = 0; i < ARRAY_SIZE(REQUESTS); i++) {
        struct answer a;
        assert_int_equal(one_shot(*state, REQUESTS[i], &a), 200);
        assert_non_null(strstr(a.body, "/a b\nraw="));
        assert_non_null(strstr(a.body, "/a%20b\nquery=x=1&y=%41+c&x=2&flag\nhost=h\npeer=127.0.0.1\nlocal=0\n"));
        assert_non_null(strstr(a.body, "arg x=1\narg y=A c\narg x=2\narg flag=\n"));
        assert_non_null(strstr(a.body, "Host=h\n"));
        char value[128];
        assert_true(str_starts(answer_header(&a, "X-Openstack-Request-Id", value, sizeof(value)), "req-"));
        assert_int_equal(strlen(value), 40);
        assert_string_equal(answer_header(&a, "Content-Type", value, sizeof(value)), "text/plain");
        assert_true(a.keeps);
        answer_done(&a);
    }
}

static void reads_bodies(void **state)
{
    struct answer a;
    assert_int_equal(one_shot(*state, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", &a), 200);
    assert_non_null(strstr(a.body, "length=5\nbody=hello\n"));
    answer_done(&a);
    assert_int_equal(one_shot(*state,
                              "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n",
                              &a),
                     200);
    assert_non_null(strstr(a.body, "length=-1\nbody=hello\n"));
    answer_done(&a);
}

static void lives_on_and_pipelines(void **state)
{
    struct harness *h = *state;
    _cleanup_(closep) int fd = harness_connect(h);
    send_text(fd, GET("/inline/1") "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" GET("/3") GET("/inline/4"));
    static const char *const WANT[] = { "path=/inline/1\n", "path=/2\n", "path=/3\n", "path=/inline/4\n" };
    for (size_t i = 0; i < ARRAY_SIZE(WANT); i++) {
        struct answer a;
        assert_true(read_answer(fd, false, &a));
        assert_non_null(strstr(a.body, WANT[i]));
        answer_done(&a);
    }
    harness_wait(h, &h->done, 4);
}

static void head_has_length_and_no_body(void **state)
{
    struct harness *h = *state;
    _cleanup_(closep) int fd = harness_connect(h);
    static const char *const PATHS[] = { "/headers", "/stream", "/file", "/inline/x" };
    for (size_t i = 0; i < ARRAY_SIZE(PATHS); i++) {
        char request[128], value[64];
        (void)snprintf(request, sizeof(request), "HEAD %s HTTP/1.1\r\nHost: h\r\n\r\n", PATHS[i]);
        send_text(fd, request);
        struct answer a;
        assert_true(read_answer(fd, true, &a));
        assert_true(strtoul(answer_header(&a, "Content-Length", value, sizeof(value)), NULL, 10) > 0);
        assert_true(a.keeps);
    }
}

static void sets_headers(void **state)
{
    struct answer a;
    assert_int_equal(one_shot(*state, GET("/headers"), &a), 200);
    assert_non_null(strstr(a.head, "X-One: 1\r\n"));
    assert_non_null(strstr(a.head, "Vary: a\r\n"));
    assert_non_null(strstr(a.head, "Vary: b\r\n"));
    assert_null(strstr(a.head, "Evil"));
    assert_non_null(strstr(a.head, "Content-Length: 2\r\n"));
    answer_done(&a);
    assert_int_equal(log_take_warnings(), 1);
}

static void no_content(void **state)
{
    struct harness *h = *state;
    _cleanup_(closep) int fd = harness_connect(h);
    for (int i = 0; i < 2; i++) {
        send_text(fd, "DELETE /empty HTTP/1.1\r\nHost: h\r\n\r\n");
        struct answer a;
        assert_true(read_answer(fd, false, &a));
        assert_int_equal(a.status, 204);
    }
}

static void forgotten_answer_is_a_500(void **state)
{
    struct answer a;
    assert_int_equal(one_shot(*state, GET("/nothing"), &a), 500);
    assert_string_equal(a.body, "{\"error\":{\"code\":500,\"title\":\"Internal Server Error\","
                                "\"message\":\"The request was not answered.\"}}");
    answer_done(&a);
    assert_true(log_take_warnings() > 0);
}

static void refuses_early_and_lives_on(void **state)
{
    struct harness *h = *state;
    _cleanup_(closep) int fd = harness_connect(h);
    struct answer a;
    send_text(fd, GET("/refuse") "POST /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello" GET("/x"));
    static const int WANT[] = { 401, 401, 200 };
    for (size_t i = 0; i < ARRAY_SIZE(WANT); i++) {
        assert_true(read_answer(fd, false, &a));
        assert_int_equal(a.status, WANT[i]);
        answer_done(&a);
    }
    assert_int_equal(h->handled, 1);
    /* one that waits for a 100 is told at once, and does not send its body */
    send_text(fd, "POST /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_true(read_answer(fd, false, &a));
    assert_int_equal(a.status, 401);
    assert_false(a.keeps);
    answer_done(&a);
    assert_true(at_end(fd));
}

static void continues_after_begin(void **state)
{
    struct harness *h = *state;
    _cleanup_(closep) int fd = harness_connect(h);
    struct answer a;
    send_text(fd, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_true(read_answer(fd, false, &a));
    assert_int_equal(a.status, 100);
    send_text(fd, "hello");
    assert_true(read_answer(fd, false, &a));
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.body, "body=hello\n"));
    answer_done(&a);
}

static void limits_bodies(void **state)
{
    struct harness *h = *state;
    struct answer a;
    char request[2200] = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n";
    size_t n = strlen(request);
    memset(request + n, 'x', 1001);
    assert_int_equal(one_shot(h, request, &a), 413);
    assert_non_null(strstr(a.body, "\"code\":413"));
    char value[64];
    assert_true(str_starts(answer_header(&a, "X-Openstack-Request-Id", value, sizeof(value)), "req-"));
    answer_done(&a);

    _cleanup_(closep) int fd = harness_connect(h);
    send_text(fd, "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 11; i++) {
        char chunk[128] = "64\r\n";
        memset(chunk + 4, 'y', 100);
        memcpy(chunk + 104, "\r\n", 3);
        send_text(fd, chunk);
    }
    send_text(fd, "0\r\n\r\n" GET("/inline/after"));
    assert_true(read_answer(fd, false, &a));
    assert_int_equal(a.status, 413);
    answer_done(&a);
    assert_true(read_answer(fd, false, &a));
    assert_int_equal(a.status, 200);
    answer_done(&a);
}

static void unix_socket(void **state)
{
    struct harness *h = *state;
    _cleanup_(closep) int fd = harness_connect_unix(h);
    send_text(fd, GET("/x"));
    struct answer a;
    assert_true(read_answer(fd, false, &a));
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.body, "peer=unix\nlocal=1\n"));
    answer_done(&a);
}

static void check_alphabet(const struct answer *a, size_t size, size_t from)
{
    assert_int_equal(a->body_size, size);
    for (size_t i = 0; i < size; i++)
        if (a->body[i] != (char)('a' + (from + i) % 26))
            fail_msg("byte %zu is wrong", i);
}

static void streams_and_files(void **state)
{
    struct harness *h = *state;
    struct answer a;
    assert_int_equal(one_shot(h, GET("/stream"), &a), 200);
    check_alphabet(&a, 3000000, 0);
    answer_done(&a);
    assert_int_equal(one_shot(h, GET("/stream/chunked"), &a), 200);
    check_alphabet(&a, 3000000, 0);
    answer_done(&a);
    assert_int_equal(one_shot(h, GET("/file"), &a), 206);
    check_alphabet(&a, 2000000 - 26, 26);
    answer_done(&a);
    /* one that breaks off is cut, not passed off as whole */
    assert_int_equal(one_shot(h, GET("/stream/broken"), &a), 0);
    answer_done(&a);
    assert_int_equal(log_take_warnings(), 1);
    harness_wait(h, &h->streams_freed, 3);
}

static void client_leaves_a_stream(void **state)
{
    struct harness *h = *state;
    int fd = harness_connect(h);
    send_text(fd, GET("/stream"));
    char some[100];
    assert_true(recv(fd, some, sizeof(some), 0) > 0);
    (void)close(fd);
    harness_wait(h, &h->streams_freed, 1);
    harness_wait(h, &h->done, 1);
}

int main(void)
{
    log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(answers_inline_and_on_worker),
        T(reads_bodies),
        T(lives_on_and_pipelines),
        T(head_has_length_and_no_body),
        T(sets_headers),
        T(no_content),
        T(forgotten_answer_is_a_500),
        T(refuses_early_and_lives_on),
        T(continues_after_begin),
        T(limits_bodies),
        T(unix_socket),
        T(streams_and_files),
        T(client_leaves_a_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
