/* What two readers of one byte stream could see differently is refused, and the connection with it. */
#include "harness.h"

#include <sys/socket.h>

struct refusal {
    const char *request;
    int status;
    const char *sentence;       /* null: libmicrohttpd's own refusal */
};

#define HEAD "POST /x HTTP/1.1\r\nHost: h\r\n"

/* After each stands what a smuggled request would be; it must never be answered. */
static const struct refusal CLOSING[] = {
    { HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "given more than once" },
    { HEAD "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400, "given more than once" },
    { HEAD "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400, "given more than once" },
    { HEAD "Content-Length: 0\r\nContent-Length: 44\r\n\r\n", 400, "given more than once" },
    { HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "given more than once" },
    { HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, "only transfer coding" },
    { HEAD "Transfer-Encoding: identity\r\n\r\n", 400, "only transfer coding" },
    { HEAD "Transfer-Encoding: chunked;x=1\r\n\r\n0\r\n\r\n", 400, "only transfer coding" },
    { HEAD "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400, "only transfer coding" },
    { HEAD "Transfer-Encoding:\r\n\r\n", 400, "only transfer coding" },
    { HEAD "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, "only transfer coding" },
    { HEAD "Transfer-Encoding: chunked\v\r\n\r\n0\r\n\r\n", 400, "control character" },
    { "POST /x HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "only transfer coding" },
    { HEAD "Content-Length : 5\r\n\r\nhello", 400, "name has a character" },
    { HEAD "Content-Length\t: 5\r\n\r\nhello", 400, "name has a character" },
    { HEAD "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, "name has a character" },
    { HEAD "Content-Length: 5, 5\r\n\r\nhello", 400, NULL },
    { HEAD "Content-Length: +5\r\n\r\nhello", 400, NULL },
    { HEAD "Content-Length: -5\r\n\r\nhello", 400, NULL },
    { HEAD "Content-Length: 0x5\r\n\r\nhello", 400, NULL },
    { HEAD "Content-Length:\r\n\r\n", 400, NULL },
    { HEAD "Content-Length: 99999999999999999999999\r\n\r\n", 413, NULL },
    { HEAD "Content-Length: 9300000000000000000\r\n\r\n", 413, "too large" },
    { "POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 400, "exactly one Host" },
    { "GET /x HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400, "exactly one Host" },
    { "GET /x HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", 400, "exactly one Host" },
    { "GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "Host header is malformed" },
    { "GET /x HTTP/1.1\r\nHost: u@b\r\n\r\n", 400, "Host header is malformed" },
    { HEAD "X-A: a\x01" "b\r\n\r\n", 400, "control character" },
    { HEAD "X-A: a\rContent-Length: 5\r\n\r\n", 400, "control character" },
    { HEAD "X-A: a\x7f\r\n\r\n", 400, "control character" },
    { HEAD "X(A): a\r\n\r\n", 400, "name has a character" },
    { HEAD "no colon\r\n\r\n", 400, NULL },
};

/* What is only wrong leaves the connection as it is. */
static const struct refusal LIVING[] = {
    { "GET /a/../b HTTP/1.1\r\nHost: h\r\n\r\n", 400, "'..' segments" },
    { "GET /a/.. HTTP/1.1\r\nHost: h\r\n\r\n", 400, "'..' segments" },
    { "GET /a/%2e%2E/b HTTP/1.1\r\nHost: h\r\n\r\n", 400, "'..' segments" },
    { "GET /a%2f..%2fb HTTP/1.1\r\nHost: h\r\n\r\n", 400, "'..' segments" },
    { "GET /a%00b HTTP/1.1\r\nHost: h\r\n\r\n", 400, "malformed escape" },
    { "GET /a%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400, "malformed escape" },
    { "GET /a%4 HTTP/1.1\r\nHost: h\r\n\r\n", 400, "malformed escape" },
    { "GET /a?b=%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400, "malformed escape" },
    { "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400, "control character or a space" },
    { "GET /a\x01 HTTP/1.1\r\nHost: h\r\n\r\n", 400, "control character or a space" },
    { "GET x HTTP/1.1\r\nHost: h\r\n\r\n", 400, "must be a path" },
    { "GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400, "must be a path" },
    { "G(T /x HTTP/1.1\r\nHost: h\r\n\r\n", 400, "method is malformed" },
};

static const char SMUGGLED[] = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

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

static void check(const struct refusal *r, const struct answer *a)
{
    if (a->status != r->status)
        fail_msg("%d instead of %d for %s", a->status, r->status, r->request);
    if (!r->sentence)
        return;
    if (!a->body || !strstr(a->body, r->sentence))
        fail_msg("'%s' is not in '%s' for %s", r->sentence, str_or(a->body, ""), r->request);
    char value[64];
    assert_true(str_starts(answer_header(a, "X-Openstack-Request-Id", value, sizeof(value)), "req-"));
    assert_string_equal(answer_header(a, "Content-Type", value, sizeof(value)), "application/json");
}

static void refuses_and_closes(void **state)
{
    struct harness *h = *state;
    for (size_t i = 0; i < ARRAY_SIZE(CLOSING); i++) {
        _cleanup_(closep) int fd = harness_connect(h);
        char both[1024];
        (void)snprintf(both, sizeof(both), "%s%s", CLOSING[i].request, SMUGGLED);
        send_text(fd, both);
        struct answer a;
        assert_true(read_answer(fd, false, &a));
        check(&CLOSING[i], &a);
        if (a.keeps)
            fail_msg("the connection is kept after %s", CLOSING[i].request);
        answer_done(&a);
        /* libmicrohttpd says the head of some of its own refusals twice; no other request is answered */
        char rest[1024];
        ssize_t n = recv(fd, rest, sizeof(rest) - 1, MSG_WAITALL);
        rest[MAX(n, (ssize_t)0)] = 0;
        if (strstr(rest, "HTTP/1.1 200") || (CLOSING[i].sentence && n > 0))
            fail_msg("something follows the answer to %s", CLOSING[i].request);
    }
    assert_int_equal(h->begun, 0);
}

static void refuses_and_lives_on(void **state)
{
    struct harness *h = *state;
    _cleanup_(closep) int fd = harness_connect(h);
    for (size_t i = 0; i < ARRAY_SIZE(LIVING); i++) {
        send_text(fd, LIVING[i].request);
        struct answer a;
        assert_true(read_answer(fd, false, &a));
        check(&LIVING[i], &a);
        assert_true(a.keeps);
        answer_done(&a);
    }
    assert_int_equal(h->begun, 0);
}

static void refuses_versions(void **state)
{
    assert_int_equal(one_shot(*state, "GET /x HTTP/3.0\r\nHost: h\r\n\r\n", NULL), 505);
    struct answer a;
    assert_int_equal(one_shot(*state, "GET /x HTTP/1.0\r\n\r\n", &a), 200);
    assert_false(a.keeps);
    answer_done(&a);
}

static void refuses_large_heads(void **state)
{
    struct harness *h = *state;
    static const size_t SIZES[] = { 15000, 17000, 25000, 200000 };
    static const int WANT[] = { 200, 431, 431, 431 };
    for (size_t i = 0; i < ARRAY_SIZE(SIZES); i++) {
        struct buf b = BUF_MAX(1 << 20);
        buf_adds(&b, "GET /x HTTP/1.1\r\nHost: h\r\nX-Large: ");
        char *at = buf_reserve(&b, SIZES[i]);
        memset(at, 'x', SIZES[i]);
        b.len += SIZES[i];
        buf_adds(&b, "\r\n\r\n");
        int fd = harness_connect(h);
        (void)!send(fd, b.data, b.len, MSG_NOSIGNAL);
        struct answer a;
        bool ok = read_answer(fd, false, &a);
        /* of what is far too large the connection may be cut before the answer is read */
        if (SIZES[i] < 100000 || ok)
            assert_int_equal(a.status, WANT[i]);
        answer_done(&a);
        (void)close(fd);
        buf_done(&b);
    }
    struct buf b = BUF_MAX(1 << 20);
    buf_adds(&b, "GET /x HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < 250; i++)
        buf_printf(&b, "A: %d\r\n", i);
    buf_adds(&b, "\r\n");
    struct answer a;
    assert_int_equal(one_shot(h, buf_text(&b), &a), 400);
    assert_non_null(strstr(a.body, "too many headers"));
    answer_done(&a);
    buf_done(&b);
}

static void reads_odd_targets(void **state)
{
    struct answer a;
    assert_int_equal(one_shot(*state, "GET http://other:80/p/q?x=y HTTP/1.1\r\nHost: h\r\n\r\n", &a), 200);
    assert_non_null(strstr(a.body, "path=/p/q\nraw=/p/q\nquery=x=y\nhost=h\n"));
    answer_done(&a);
    assert_int_equal(one_shot(*state, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", &a), 200);
    assert_non_null(strstr(a.body, "path=*\n"));
    answer_done(&a);
    assert_int_equal(one_shot(*state, "GET /a//b/.../..c/./ HTTP/1.1\r\nHost: h\r\n\r\n", &a), 200);
    assert_non_null(strstr(a.body, "path=/a//b/.../..c/./\n"));
    answer_done(&a);
    /* a chunk that lies about its size */
    assert_int_equal(one_shot(*state, HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n", NULL), 400);
    assert_int_equal(one_shot(*state, HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n", NULL), 400);
}

int main(void)
{
    log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(refuses_and_closes),
        T(refuses_and_lives_on),
        T(refuses_versions),
        T(refuses_large_heads),
        T(reads_odd_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
